/** The tables of a report: the seeds, and the trail of what happened. */
import { compact } from "./charts.js";
import type { RunEvent, RunHistory, SeedTrack } from "./history.js";
import { stageColor } from "./stage-chart.js";
import { element, escapeText } from "./svg.js";

export interface Column<R> {
  readonly title: string;
  readonly className?: string;
  /** Where the rows are sorted by this column. */
  readonly sort?: "ascending" | "descending";
  /** Markup, escaped already. */
  readonly cell: (row: R) => string;
}

/** @param above markup over the table */
export function table<R>(columns: readonly Column<R>[], rows: readonly R[], above = ""): string {
  const head = columns.map(({ title, className, sort }) =>
    element("th", { class: className, "aria-sort": sort }, title),
  );
  const body = rows.map((row) =>
    element(
      "tr",
      {},
      columns.map(({ cell, className }) => element("td", { class: className }, cell(row))).join(""),
    ),
  );
  const whole = element("thead", {}, element("tr", {}, head.join(""))) + element("tbody", {}, body.join(""));
  return element("div", { class: "card scroll" }, above + element("table", {}, whole));
}

function leftOut(count: number, what: string): string {
  return count > 0
    ? element("p", { class: "quiet" }, `${count.toLocaleString("en-US")} earlier ${what} are not listed`)
    : "";
}

export function badge(text: string, color: string): string {
  return element("span", { class: "badge", style: `background:${color}` }, escapeText(text));
}

/** @param limit so many of the last seeds are listed */
export function seedTable({ seeds }: RunHistory, limit: number): string {
  const last = (seed: SeedTrack, name: "shadowGain" | "contribution"): string => {
    const sample = seed[name].at(-1);
    if (!sample) return "–";
    const text = sample.value.toFixed(4).replace(/^-(0\.0+)$/, "$1");
    const quality = Number(text) === 0 ? "quiet" : Number(text) > 0 ? "good" : "bad";
    const value = element("span", { class: quality }, text);
    return `${value} <span class="quiet">± ${(sample.stdErr ?? 0).toFixed(4)}</span>`;
  };
  return table<SeedTrack>(
    [
      { title: "seed", cell: ({ id }) => `<b>${escapeText(id)}</b>` },
      { title: "blueprint", cell: ({ blueprint }) => escapeText(blueprint) },
      { title: "slot", cell: ({ slot }) => escapeText(slot) },
      {
        title: "stage",
        cell: ({ stages }) => {
          const stage = fateOf(stages.map((span) => span.stage));
          return badge(stage, stageColor(stage));
        },
      },
      {
        title: "parameters",
        className: "number",
        cell: ({ parameters }) => parameters.toLocaleString("en-US"),
      },
      { title: "shadow gain", className: "number", cell: (seed) => last(seed, "shadowGain") },
      { title: "contribution", className: "number", cell: (seed) => last(seed, "contribution") },
    ],
    seeds.slice(-limit),
    leftOut(seeds.length - limit, "seeds"),
  );
}

/** What became of a seed: that it was culled says more than that its slot is open again. */
export function fateOf(stages: readonly string[]): string {
  return stages.includes("CULLED") ? "CULLED" : (stages.at(-1) ?? "DORMANT");
}

interface TrailRow {
  readonly step: number;
  readonly seed: string;
  /** Markup, escaped already. */
  readonly what: string;
  readonly detail: string;
}

/**
 * Decisions, gates and stages, and whatever is more severe than INFO, in order of steps.
 * @param limit so many of the last entries are listed
 */
export function trailTable({ events, decisions }: RunHistory, limit: number): string {
  const all = [
    ...decisions.map(
      ({ step, seed_id, why }): TrailRow => ({
        step,
        seed: seed_id,
        what: badge("Tamiyo", "var(--accent)"),
        detail: why,
      }),
    ),
    ...events.flatMap(trailRow),
  ].sort((a, b) => a.step - b.step);
  return table<TrailRow>(
    [
      { title: "step", className: "number", cell: ({ step }) => step.toLocaleString("en-US") },
      { title: "seed", cell: ({ seed }) => escapeText(seed) },
      { title: "what", cell: ({ what }) => what },
      { title: "why", className: "wide", cell: ({ detail }) => escapeText(detail) },
    ],
    all.slice(-limit),
    leftOut(all.length - limit, "entries"),
  );
}

function trailRow(event: RunEvent): TrailRow[] {
  const { step, seed_id: seed, name, level } = event;
  if (name === "gate_event") {
    return [
      { step, seed, what: element("span", { class: "good" }, "✓ gate"), detail: `${event.gate} passed` },
    ];
  }
  if (name === "gate_failure") {
    const detail = `${event.gate} failed in ${event.stage}: ${event.reason}`;
    return [{ step, seed, what: element("span", { class: "bad" }, "✕ gate"), detail }];
  }
  if (name === "seed_stage") {
    const to = String(event.to);
    return [{ step, seed, what: badge(to, stageColor(to)), detail: `from ${event.from}` }];
  }
  if (level === "INFO") return [];
  const className = level === "WARNING" ? "warn" : "bad";
  return [
    { step, seed, what: element("span", { class: className }, escapeText(name)), detail: facts(event) },
  ];
}

export function facts({
  type: _,
  name: __,
  level: ___,
  step: ____,
  seed_id: _____,
  ...attributes
}: RunEvent): string {
  return Object.entries(attributes)
    .filter(([, value]) => value !== "")
    .map(([key, value]) => `${key} ${value}`)
    .join(", ");
}

/** Whole numbers in full up to here, then in short. */
const IN_FULL_TO = 1e6;

export function quantity(value: number): string {
  return value < IN_FULL_TO ? value.toLocaleString("en-US") : compact(value);
}
