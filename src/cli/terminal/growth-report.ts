/** The report of a growth run, for people. */
import { formatFlops, printable } from "../../base/index.js";
import { FLOPS_PARTS, isRemoved, SCORE_TITLES, type Stage } from "../../contracts/index.js";
import {
  formatGain,
  formatScore,
  type SeedReport,
  type Summary,
  testScore,
} from "../../weatherlight/folder/growth-lines.js";
import { formatTable, type Paint, painter, stageStyle } from "./text.js";

/** Ends with a newline. */
export function formatReport(summary: Summary, runDir: string | undefined, color: boolean): string {
  const paint = painter(color);
  const blocks = [
    [headline(summary, paint)],
    scoreTable(summary, paint),
    summary.seeds.length > 0 ? seedTable(summary.seeds, paint) : ["no seed was germinated"],
    costLines(summary, runDir),
  ];
  return `\n${blocks.map((lines) => lines.map((line) => `  ${line}`.trimEnd()).join("\n")).join("\n\n")}\n`;
}

function headline({ ended, host, data, epochs, seed, engine, wall_s }: Summary, paint: Paint): string {
  const how = ended === undefined || ended === "finished" ? "" : `${ended}, `;
  const times = `${how}${epochs} ${epochs === 1 ? "epoch" : "epochs"}, seed ${seed}, ${engine}, ${formatDuration(wall_s)}`;
  return `${paint("bold", printable(`${host} on ${data}`))}  ${paint("dim", times)}`;
}

function scoreTable(summary: Summary, paint: Paint): string[] {
  const grown = summary.seeds.some(({ stage }) => stage === "FOSSILIZED");
  const blended = summary.seeds.some(({ stage, alpha }) => !isRemoved(stage) && alpha > 0);
  const { name: score, value, alone } = testScore(summary);
  const shown = (one: number | null): string =>
    one === null ? "–" : formatScore({ name: score, value: one });
  const rows = [["", `test ${SCORE_TITLES[score]}`, "parameters"]];
  if (alone !== null) rows.push(["host alone", shown(alone), count(summary.params_host)]);
  const name = grown || alone !== null ? "host grown" : blended ? "host, blended" : "host";
  rows.push([name, paint("bold", shown(value)), count(summary.params_total)]);
  const lines = formatTable(rows, ["left", "right", "right"]);
  if (alone === null || value === null) return lines;
  const gain = formatGain({ name: score, value: value - alone });
  return [...lines.slice(0, -1), `${lines.at(-1)}  ${paint(value > alone ? "green" : "yellow", gain)}`];
}

function seedTable(seeds: readonly SeedReport[], paint: Paint): string[] {
  const header = ["seed", "blueprint", "slot", "stage", "alpha", "shadow gain", "contribution"];
  const rows = seeds.map((seed) => [
    printable(seed.id),
    printable(seed.blueprint),
    printable(seed.slot),
    paint(stageStyle(seed.stage), fateOf(seed.stage)),
    seed.alpha.toFixed(2),
    measured(seed.shadow_gain),
    measured(seed.contribution),
  ]);
  return [
    ...formatTable([header, ...rows], ["left", "left", "left", "left", "right", "right", "right"]),
    paint("dim", "shadow gain: what the seed takes off the held-out loss, while it trains unseen"),
    paint("dim", "contribution: what the loss rises by without it, once it is in the output"),
  ];
}

/** What became of a seed, in the word that its life ended with: the embargo after a cull is its slot's. */
function fateOf(stage: Stage): Stage {
  return isRemoved(stage) && stage !== "TERMINATED" ? "CULLED" : stage;
}

/** What one score hides: of classes of different sizes, of errors in units, of labels. */
function metricsRow({ metrics }: Summary): string[][] {
  return metrics ? [["test set", metricsLine(metrics)]] : [];
}

/** Which network the figures are of, where it is not the last one. */
function bestRow({ best }: Summary): string[][] {
  return best
    ? [["network", `of step ${count(best.step)}, held-out loss ${best.held_out_loss.toFixed(4)}`]]
    : [];
}

function thresholdRow({ threshold }: Summary): string[][] {
  return threshold === undefined
    ? []
    : [["threshold", `the second class is said from ${percent(threshold)} on`]];
}

function metricsLine(metrics: NonNullable<Summary["metrics"]>): string {
  if ("perplexity" in metrics) {
    const { perplexity, bits_per_byte: bits } = metrics;
    const ofText = bits === undefined ? "" : `, ${bits.toFixed(3)} bits per byte`;
    return `perplexity ${perplexity.toFixed(2)} per token${ofText}`;
  }
  if ("rmse" in metrics) return `RMSE ${metrics.rmse.toPrecision(4)}, MAE ${metrics.mae.toPrecision(4)}`;
  if ("hamming_loss" in metrics) {
    const { average_precision: precision, macro_f1, hamming_loss } = metrics;
    const told = precision === null ? "–" : precision.toFixed(4);
    return `mean average precision ${told}, macro F1 ${macro_f1.toFixed(4)}, Hamming loss ${hamming_loss.toFixed(4)}`;
  }
  return `balanced accuracy ${percent(metrics.balanced_accuracy)}, macro F1 ${metrics.macro_f1.toFixed(4)}`;
}

function costLines(summary: Summary, runDir: string | undefined): string[] {
  const { commands, isolation } = summary;
  const violations = isolation.violations === 1 ? "1 violation" : `${isolation.violations} violations`;
  const rows = [
    ...metricsRow(summary),
    ...bestRow(summary),
    ...thresholdRow(summary),
    ["cost", `${formatFlops(summary.flops_total)}, ${Math.round(summary.steps_per_s)} steps/s`],
    ...partsRow(summary),
    ["commands", `${commands.accepted} accepted, ${commands.rejected} rejected`],
    [
      "isolation",
      `${violations}, largest leak ratio ${isolation.max_leak_ratio}, cosine ${isolation.max_cosine}`,
    ],
  ];
  return formatTable(runDir === undefined ? rows : [...rows, ["run folder", printable(runDir)]]);
}

/** What the computing went into, in parts of all of it. */
function partsRow({ flops_by_part: parts, flops_total }: Summary): string[][] {
  if (!parts || flops_total === 0) return [];
  const told = FLOPS_PARTS.filter((part) => parts[part] > 0).map(
    (part) => `${part} ${((100 * parts[part]) / flops_total).toFixed(1)} %`,
  );
  return [["", told.join(", ")]];
}

export function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(2)} %`;
}

function measured(value: number | null): string {
  return value === null ? "–" : value.toFixed(4);
}

/** 12,345. By hand: the first number that Intl formats holds the thread for 15 ms. */
export function count(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** 43 s, 2 min 05 s, 1 h 03 min. */
export function formatDuration(seconds: number): string {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  const two = (value: number): string => String(value).padStart(2, "0");
  if (minutes < 60) return `${minutes} min ${two(Math.round(seconds) % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}
