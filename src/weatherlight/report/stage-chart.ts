/** The lives of seeds: a lane each, its stages in colour, the gates it met above them. */
import { isLiving, STAGES, type Stage } from "../../contracts/index.js";
import type { RunEvent, SeedTrack, StageSpan } from "./history.js";
import { MARGIN, stepAxis, stepScale, WIDTH } from "./line-chart.js";
import { element, escapeText } from "./svg.js";

const LANE_HEIGHT = 50;
const BAR_TOP = 27;
const BAR_HEIGHT = 16;
/** A label that begins to the right of this part of the plot is set to end at its bar instead. */
const LABEL_TURNS_AT = 0.6;

/** A CSS variable of the page. */
export function stageColor(stage: string): string {
  return `var(--${stage.toLowerCase()})`;
}

/** Stages that occur, in the order of the lifecycle, for the legend. */
export function stagesSeen(seeds: readonly SeedTrack[]): Stage[] {
  const seen = new Set(seeds.flatMap(({ stages }) => stages.map(({ stage }) => stage)));
  return STAGES.filter((stage) => seen.has(stage) && isLiving(stage));
}

/** Gates are events `gate_event` (passed) and `gate_failure`. */
export function drawStageChart(
  seeds: readonly SeedTrack[],
  gates: readonly RunEvent[],
  domain: readonly [number, number],
  width: number = WIDTH,
): string {
  const height = seeds.length * LANE_HEIGHT + 8 + MARGIN.bottom;
  const x = stepScale(domain, width);
  const lanes = seeds.map((seed, i) => {
    const own = gates.filter(({ seed_id, step }) => seed_id === seed.id && isInside(step, domain));
    const spans = seed.stages.filter(({ stage }) => isLiving(stage)).flatMap((span) => clipped(span, domain));
    const parts = [
      drawLabel(seed, domain, x),
      ...spans.map((span) => drawSpan(span, x)),
      ...own.map((gate) => drawGate(gate, x)),
    ];
    return element(
      "g",
      { transform: `translate(0 ${i * LANE_HEIGHT})`, "data-seed": seed.id },
      parts.join(""),
    );
  });
  const attributes = {
    class: "chart",
    id: "stages",
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "aria-label": "Stages of each seed over steps",
    "data-x-domain": x.domain().join(" "),
    "data-box": [...x.range(), 0, height - MARGIN.bottom].join(" "),
  };
  return element("svg", attributes, lanes.join("") + stepAxis(x, height));
}

type Place = (step: number) => number;

function isInside(step: number, [from, to]: readonly [number, number]): boolean {
  return step >= from && step <= to;
}

/** The part of a span that is shown, where one is. */
function clipped(span: StageSpan, [from, to]: readonly [number, number]): readonly StageSpan[] {
  return span.to < from || span.from > to
    ? []
    : [{ ...span, from: Math.max(span.from, from), to: Math.min(span.to, to) }];
}

function drawLabel(seed: SeedTrack, [first, last]: readonly [number, number], x: Place): string {
  const from = Math.min(last, Math.max(first, seed.stages[0]?.from ?? 0));
  const turned = from > first + LABEL_TURNS_AT * (last - first);
  const at = { x: turned ? x(last) : x(from), y: 13, "text-anchor": turned ? "end" : "start" };
  const facts = element("tspan", { class: "quiet" }, escapeText(`  ${seed.blueprint} in ${seed.slot}`));
  return element("text", { class: "label", ...at }, escapeText(seed.id) + facts);
}

function drawSpan({ stage, from, to }: StageSpan, x: Place): string {
  const box = {
    x: x(from),
    y: BAR_TOP,
    width: Math.max(1.5, x(to) - x(from) - 1),
    height: BAR_HEIGHT,
    rx: 3,
  };
  const title = element("title", {}, `${stage}, steps ${from} to ${to}`);
  return element("rect", { ...box, style: `fill:${stageColor(stage)}`, "data-stage": stage }, title);
}

/** A tick above the bar where a gate was passed, a cross where it was not. */
function drawGate(gate: RunEvent, x: Place): string {
  const passed = gate.name === "gate_event";
  const at = x(gate.step);
  const [top, foot] = [BAR_TOP - 7, BAR_TOP - 1];
  const d = passed ? `M${at - 3.5} ${top}h7l-3.5 ${foot - top}z` : `M${at - 4} ${top - 1}l8 8m0 -8l-8 8`;
  const result = passed ? "passed" : `failed: ${gate.reason}`;
  const title = element("title", {}, escapeText(`${gate.gate} ${result}, step ${gate.step}`));
  return element(
    "path",
    { class: passed ? "gate" : "gate failed", d, "data-gate": String(gate.gate) },
    title,
  );
}
