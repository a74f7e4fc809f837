/** The report of a run as one HTML page that needs nothing but itself. */
import { createHash } from "node:crypto";
import { formatFlops } from "../../base/index.js";
import { SCORE_TITLES } from "../../contracts/index.js";
import { formatGain, formatScore, scoreIn, testScore } from "../folder/growth-lines.js";
import { chartsOf, type Look, NARROW_WIDTH, PLAIN_LOOK, seedsDrawn } from "./charts.js";
import { crosshair } from "./crosshair.js";
import type { RunHistory } from "./history.js";
import { drawLineChart, type LineChart, readings } from "./line-chart.js";
import { drawNetwork } from "./network.js";
import { drawStageChart, stageColor, stagesSeen } from "./stage-chart.js";
import { STYLE } from "./style.js";
import { element, escapeText } from "./svg.js";
import { fateOf, quantity, seedTable, trailTable } from "./tables.js";

const SCRIPT = `(${crosshair.toString()})()`;
/** Nothing is fetched or sent, whatever a run's texts may hold, and no script runs but the page's own. */
const POLICY = `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${digestOf(SCRIPT)}'; base-uri 'none'; form-action 'none'`;

/** @param blocks of the network, in order; empty where they are not known */
export function reportPage(history: RunHistory, blocks: readonly string[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>${escapeText(titleOf(history))}</title>
<style>${STYLE}</style>
</head>
<body>
<main>${reportBody(history, { network: drawNetwork(history, blocks) })}</main>
<script>${SCRIPT}</script>
</body>
</html>
`;
}

/** What a report shows besides what the history of its run gives. */
export interface ReportParts {
  readonly look?: Look;
  /** Markup of what the network looks like, where it is known. */
  readonly network?: string;
  /** Rows of a table at most: the last ones. Default: all. */
  readonly rows?: number;
}

/** What a report shows of a run, and the readings of its charts for the crosshair. */
export function reportBody(
  history: RunHistory,
  { look = PLAIN_LOOK, network = "", rows = Number.POSITIVE_INFINITY }: ReportParts = {},
): string {
  const charts = chartsOf(history, look);
  const chart = (id: string): string => {
    const found = charts.find((one) => one.id === id);
    return found ? chartCard(found, history) : "";
  };
  const body = [
    header(history),
    tiles(history),
    section("Network", network),
    section("Learning", chart("loss") + chart("score")),
    section(
      "Seeds",
      stageCard(history, look) +
        chart("alpha") +
        chart("effect") +
        chart("isolation") +
        seedsPart(history, rows),
    ),
    section(
      "Cost",
      element(
        "div",
        { class: "pair" },
        chart("parameters") + chart("flops") + chart("memory") + chart("stall"),
      ),
    ),
    section("What happened, and why", trailTable(history, rows)),
    section("What was asked for", configCard(history)),
  ];
  const data = JSON.stringify(charts.map(readings)).replaceAll("<", "\\u003c");
  return `${body.join("\n")}
<script type="application/json" id="readings">${data}</script>`;
}

/** As a content security policy names a script: SHA-256 in base64. */
function digestOf(script: string): string {
  return createHash("sha256").update(script).digest("base64");
}

export function titleOf({ config }: RunHistory): string {
  return `${config.host ?? "host"} on ${config.data ?? "data"}`;
}

function header({ runId, summary, config, lastStep, ...history }: RunHistory): string {
  const title = element("h1", {}, escapeText(titleOf({ runId, config, lastStep, ...history })));
  const facts = [
    `run ${runId}`,
    ...(config.from === undefined ? [] : [`goes on from ${config.from}`]),
    `seed ${config.seed ?? 0}`,
    `${quantity(lastStep)} steps`,
    ...(summary
      ? [
          ...(summary.ended ? [summary.ended] : []),
          `engine ${summary.engine}`,
          `${summary.wall_s.toFixed(1)} s`,
        ]
      : ["no report of its end yet"]),
  ];
  return title + element("div", { class: "quiet" }, escapeText(facts.join(" · ")));
}

function tiles(history: RunHistory): string {
  const { summary, observations, seeds } = history;
  const last = observations.at(-1);
  const fates = seeds.map(({ stages }) => fateOf(stages.map(({ stage }) => stage)));
  const count = (stage: string): number => fates.filter((fate) => fate === stage).length;
  const shown = [
    ...scoreTiles(history),
    ...(summary?.metrics ? [metricsTile(summary.metrics)] : []),
    ...(last ? [parametersTile(history, last.params_total)] : []),
    ...(last ? [tile(formatFlops(summary?.flops_total ?? last.flops_total), "computed in all")] : []),
    tile(String(seeds.length), `seeds: ${count("FOSSILIZED")} kept, ${count("CULLED")} culled`),
    ...(summary ? [commandsTile(summary), isolationTile(summary)] : []),
  ];
  return element("div", { class: "tiles" }, shown.join(""));
}

type Summary = NonNullable<RunHistory["summary"]>;

/** The value is markup. */
function tile(value: string, about: string): string {
  return element("div", { class: "tile" }, `<b>${value}</b><span>${escapeText(about)}</span>`);
}

/** On the test set, or on the held-out rows as far as the run is. */
function scoreTiles({ summary, observations }: RunHistory): string[] {
  const { name, value, alone } = summary
    ? testScore(summary)
    : { name: "accuracy" as const, value: null, alone: null };
  const soFar = scoreIn(observations.at(-1) ?? {});
  if (value === null)
    return soFar ? [tile(formatScore(soFar), `${SCORE_TITLES[soFar.name]}, held out, so far`)] : [];
  const shown = formatScore({ name, value });
  const title = `test ${SCORE_TITLES[name]}`;
  if (alone === null) return [tile(shown, title)];
  const difference = value - alone;
  const quality = difference === 0 ? "quiet" : difference > 0 ? "good" : "bad";
  const gain = element("small", { class: quality }, formatGain({ name, value: difference }));
  return [tile(`${shown} ${gain}`, `${title}; host alone ${formatScore({ name, value: alone })}`)];
}

function metricsTile(metrics: NonNullable<Summary["metrics"]>): string {
  if ("perplexity" in metrics) {
    const { perplexity, bits_per_byte: bits } = metrics;
    const ofText = bits === undefined ? "" : `; ${bits.toFixed(3)} bits per byte`;
    return tile(perplexity.toFixed(2), `perplexity per token, test${ofText}`);
  }
  if ("rmse" in metrics)
    return tile(metrics.rmse.toPrecision(4), `RMSE, test; MAE ${metrics.mae.toPrecision(4)}`);
  if ("hamming_loss" in metrics)
    return tile(
      (metrics.average_precision ?? 0).toFixed(4),
      `mean average precision; macro F1 ${metrics.macro_f1.toFixed(4)}`,
    );
  return tile(
    percent(metrics.balanced_accuracy),
    `balanced accuracy; macro F1 ${metrics.macro_f1.toFixed(4)}`,
  );
}

function parametersTile({ summary, observations }: RunHistory, now: number): string {
  const host = summary?.params_host ?? observations[0]?.params_total ?? now;
  return tile(quantity(summary?.params_total ?? now), `parameters; ${quantity(host)} before it grew`);
}

function commandsTile({ commands }: Summary): string {
  return tile(String(commands.accepted), `commands applied, ${commands.rejected} rejected`);
}

function isolationTile({ isolation }: Summary): string {
  const value = element(
    "span",
    { class: isolation.violations > 0 ? "bad" : "good" },
    String(isolation.violations),
  );
  return tile(
    value,
    `isolation violations; leak ratio at most ${Number(isolation.max_leak_ratio.toPrecision(2))}`,
  );
}

export function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(2)} %`;
}

export function section(title: string, content: string): string {
  return content === "" ? "" : element("section", {}, element("h2", {}, escapeText(title)) + content);
}

export function chartCard(chart: LineChart, { lastStep }: Pick<RunHistory, "lastStep">): string {
  const legend = chart.series.map(({ name, color, dashed, samples }) => {
    const value = escapeText(chart.format(samples.at(-1)?.value ?? Number.NaN));
    const line = element("i", { class: dashed ? "dashed" : undefined, style: `border-color:${color}` });
    const cell = element("span", { class: "quiet", "data-value": `${chart.id}/${name}` }, value);
    return element("li", {}, `${line}${escapeText(name)} ${cell}`);
  });
  return card(chart.title, chart.caption, legend, drawLineChart(chart, lastStep));
}

export function card(title: string, caption: string, legend: readonly string[], drawing: string): string {
  const head = element("h3", {}, escapeText(title)) + element("p", {}, escapeText(caption));
  const list = element("ul", { class: "legend" }, legend.join(""));
  return element("div", { class: "card" }, element("div", { class: "head" }, head) + list + drawing);
}

function stageCard(history: RunHistory, { narrow, window }: Look): string {
  const seeds = seedsDrawn(history);
  if (seeds.length === 0) return "";
  const gates = history.events.filter(({ name }) => name === "gate_event" || name === "gate_failure");
  const legend = stagesSeen(seeds).map((stage) =>
    element("li", {}, `${element("i", { class: "box", style: `background:${stageColor(stage)}` })}${stage}`),
  );
  const left = history.seeds.length - seeds.length;
  const caption = `stages over steps; ▾ a gate that was passed, ✕ one that was not${left > 0 ? `; ${left} earlier seeds are not drawn` : ""}`;
  return card(
    "Stages",
    caption,
    legend,
    drawStageChart(
      seeds,
      gates,
      window ? [window.from, window.to] : [0, history.lastStep],
      narrow ? NARROW_WIDTH : undefined,
    ),
  );
}

function seedsPart(history: RunHistory, rows: number): string {
  return history.seeds.length > 0
    ? seedTable(history, rows)
    : element("div", { class: "card quiet" }, "No seed was germinated.");
}

function configCard({ config }: RunHistory): string {
  const rows = Object.entries(config).map(
    ([key, value]) => element("dt", {}, escapeText(key)) + element("dd", {}, escapeText(asText(value))),
  );
  return element("div", { class: "card" }, element("dl", {}, rows.join("")));
}

export function asText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
