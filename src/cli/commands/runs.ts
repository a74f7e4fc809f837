/** `kasmina runs` and `kasmina compare`: the runs of a folder, and what sets some of them apart. */
import type { Command } from "commander";
import { formatFlops, KasminaError, printable } from "../../base/index.js";
import { SCORE_TITLES } from "../../contracts/index.js";
import {
  formatScore,
  type Summary,
  type TestScore,
  testScore,
} from "../../weatherlight/folder/growth-lines.js";
import {
  type Comparison,
  compareRuns,
  type ListedRun,
  listRuns,
} from "../../weatherlight/folder/list-runs.js";
import { EXIT } from "../terminal/exit.js";
import { count } from "../terminal/growth-report.js";
import { type Io, say } from "../terminal/io.js";
import { formatTable } from "../terminal/text.js";

const UNKNOWN = "–";

export function addRuns(command: Command, io: Io, done: (exitCode: number) => void): void {
  command
    .argument("[folder]", "where the runs lie", "runs")
    .option("--json", "print one JSON line a run")
    .action(async (folder: string, { json }: { json?: boolean }) => {
      const { runs, problems } = await listRuns(folder);
      for (const problem of problems) say(io, problem);
      if (json) for (const run of runs) io.stdout.write(`${JSON.stringify(run)}\n`);
      else io.stdout.write(runs.length > 0 ? formatRuns(runs) : `no runs in ${printable(folder)}\n`);
      done(problems.length === 0 ? EXIT.done : EXIT.failed);
    });
}

export function addCompare(command: Command, io: Io, done: (exitCode: number) => void): void {
  command
    .argument("<run-dir...>", "folders of two runs or more")
    .option("--json", "print one JSON object")
    .action(async (paths: string[], { json }: { json?: boolean }) => {
      if (paths.length < 2) throw new KasminaError("invalid_argument", "name two runs or more");
      const comparison = await compareRuns(paths);
      io.stdout.write(json ? `${JSON.stringify(comparison)}\n` : formatComparison(comparison));
      done(EXIT.done);
    });
}

function formatRuns(runs: readonly ListedRun[]): string {
  const rows = runs.map(({ path, name, tags = [], state, data, host, seed, summary }) => [
    printable(
      [path, ...(name === undefined ? [] : [`"${name}"`]), ...tags.map((tag) => `#${tag}`)].join(" "),
    ),
    printable(state),
    printable(data),
    printable(host),
    String(seed),
    summary ? scored(testScore(summary)) : UNKNOWN,
    summary ? count(summary.params_total) : UNKNOWN,
    summary ? formatFlops(summary.flops_total) : UNKNOWN,
  ]);
  const header = ["run", "state", "data", "host", "seed", scoreTitle(runs), "parameters", "computed"];
  const lines = formatTable(
    [header, ...rows],
    ["left", "left", "left", "left", "right", "right", "right", "right"],
  );
  return `${lines.join("\n")}\n`;
}

/** What is said of each run, by its report. */
const FIGURES: readonly (readonly [string, (summary: Summary) => string])[] = [
  ["test score", (summary) => scored(testScore(summary))],
  [
    "host alone",
    (summary) => {
      const { name, alone } = testScore(summary);
      return scored({ name, value: alone });
    },
  ],
  ["test loss", ({ loss }) => (typeof loss === "number" ? loss.toFixed(4) : UNKNOWN)],
  ...(
    [
      "balanced_accuracy",
      "macro_f1",
      "perplexity",
      "bits_per_byte",
      "rmse",
      "mae",
      "average_precision",
      "hamming_loss",
    ] as const
  ).map(
    (name) =>
      [
        name.replaceAll("_", " "),
        ({ metrics }: Summary) =>
          metrics && typeof metrics[name as never] === "number"
            ? Number(metrics[name as never]).toPrecision(5)
            : UNKNOWN,
      ] as const,
  ),
  [
    "seeds kept",
    ({ seeds }) => `${seeds.filter(({ stage }) => stage === "FOSSILIZED").length} of ${seeds.length}`,
  ],
  ["parameters", ({ params_total }) => count(params_total)],
  ["computed", ({ flops_total }) => formatFlops(flops_total)],
  ["seconds", ({ wall_s }) => wall_s.toFixed(1)],
];

function formatComparison({ differences, runs }: Comparison): string {
  const align = ["left" as const, ...runs.map(() => "right" as const)];
  const header = ["", ...runs.map(({ path }) => printable(path))];
  const asked = Object.entries(differences).map(([key, values]) => [
    printable(key),
    ...values.map((value) =>
      value === null ? UNKNOWN : printable(typeof value === "string" ? value : JSON.stringify(value)),
    ),
  ]);
  const figures = FIGURES.map(([name, figureOf]) => [
    name === "test score" ? scoreTitle(runs) : name,
    ...runs.map(({ summary }) => (summary ? figureOf(summary) : UNKNOWN)),
  ]).filter(([, ...values]) => values.some((value) => value !== UNKNOWN));
  const state = ["state", ...runs.map((run) => printable(run.state))];
  const said = asked.length > 0 ? formatTable([header, ...asked], align) : ["asked for the same"];
  return `${[...said, "", ...formatTable([header, state, ...figures], align)].join("\n")}\n`;
}

/** Where all have one score, it is named once. */
function scoreTitle(runs: readonly ListedRun[]): string {
  const names = new Set(runs.flatMap(({ summary }) => (summary ? [testScore(summary).name] : [])));
  return names.size === 0 || (names.size === 1 && names.has("accuracy")) ? "test accuracy" : "test score";
}

/** What is no accuracy says what it is. */
function scored({ name, value }: Pick<TestScore, "name" | "value">): string {
  if (value === null) return UNKNOWN;
  const said = formatScore({ name, value });
  return name === "accuracy" ? said : `${SCORE_TITLES[name]} ${said}`;
}
