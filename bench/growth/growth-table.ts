/** docs/growth.md, from the lines that were measured: what it says of each comparison follows from its interval. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { mean } from "kasmina/base";
import type { Figures } from "../measurement.js";
import { ARMS, type ArmName, comparisons, EXPERIMENT, extensionFigures, pairsIn } from "./extension.js";
import { paired } from "./growth-statistics.js";
import { type ResultLine, ResultLines } from "./result-lines.js";

const PAGE = join("docs", "growth.md");

/** How the page names an arm. */
const NAMES: { readonly [A in ArmName | "parent"]: string } = {
  parent: "the parent, before",
  grown: "grown: `--from` it, a new layer",
  continued: "the parent trained on",
  "final net, new FLOPs": "the final net from scratch, with the new FLOPs",
  "final net, all FLOPs": "the final net from scratch, with the parent's FLOPs and the new ones",
};

/** Writes the page and returns what it says. */
export function writeTable(): Figures {
  const { all } = new ResultLines(EXPERIMENT);
  writeFileSync(PAGE, pageOf(all));
  return extensionFigures(all);
}

function pageOf(lines: readonly ResultLine[]): string {
  const pairs = pairsIn(lines);
  const compared = comparisons(lines).map(({ against, saved }) => ({ against, ...intervalOf(saved) }));
  const verdicts = compared.map(
    ({ against, mean: saved, low, high, better }) =>
      `- Against ${NAMES[against]}, it **${verdict(low, high)}**: ${nats(saved)} nats saved (${nats(low)} to ${nats(high)}; better in ${better} pairs).`,
  );
  return `# Does growth pay?

**Extending a network that is trained already** by a whole new layer (\`kasmina grow --from\`), on the novel:

${verdicts.join("\n")}

**Growing within one run** beats the same host alone at equal FLOPs on MNIST, spirals and the novel. The same block present from
the start ties with it on spirals and is better on MNIST ([policy.md](policy.md), "Does growth pay?", with its commands). So growth
pays where a network is there already, or where nobody knows beforehand what to add; it is no way to train a known architecture.

## Extending a trained network

\`\`\`sh
npm run bench -- growth ${EXPERIMENT} 10   # what is not measured yet of 10 pairs; each run adds a line to bench/growth/results/
npm run bench -- growth --table        # writes this page from those lines, and prints its figures
\`\`\`

${table(
  ["", "learning rate", "test loss, nats", "test accuracy", "GFLOPs", "seconds"],
  (["parent", ...ARMS] as const).map((arm) =>
    armRow(
      arm,
      pairs.filter((line) => line.arm === arm),
    ),
  ),
)}

${table(
  ["random seed", ...(["parent", ...ARMS] as const).map((arm) => `${arm}, loss`), "its seed"],
  seedsOf(pairs).map((seed) => pairRow(seed, pairs)),
)}

- **The parent** is \`charlm\` of 16 channels and one layer, trained on *Moby-Dick* by characters for 5 epochs in the runtime.
- **Grown** goes on from it for 3 epochs in the runtime, gates, proofs, monitor and policy at work: the plateau policy germinates one
  \`host-block\`, a layer of the host's kind, at the first observation, trains it for 5 to 12 of some 60 observations, and keeps or culls it
  by what it measures on 128 held-out rows.
- **FLOPs** are all that the grown run computed, shadow passes, probes and evaluations included; every run says what they went into (\`flops_by_part\`). Each other arm gets as many for
  training steps alone, by the same engine, batches and random seed, outside the runtime: its evaluations are free.
- **Rates**: a cosine to 0 for every arm; each arm's own, the best of 0.01, 0.02 and 0.04 on random seed 1000, which no pair uses.
- **Pairs** are the random seeds 0, 1, … as they come; every one of which all arms are measured is in the table, those whose seed was culled too.
- **Intervals** are 95 % t-intervals of the paired differences of test losses; gates and policy never see the test rows.
- **Seconds** are wall-clock time on a machine shared with other work; no figure but them depends on it.
- **Not measured yet**: a larger host, MNIST, intermediate sizes.
`;
}

interface Interval {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  readonly better: string;
}

function intervalOf(saved: readonly number[]): Interval {
  const { mean: centre, low, high, better } = paired(saved);
  const interval = { mean: Number(centre), low: Number(low), high: Number(high) };
  return { ...interval, better: String(better) };
}

/** Of an interval of what is saved. That of one pair is a point, and says nothing. */
function verdict(low: number, high: number): string {
  if (low === high) return "is not known yet whether it pays";
  if (low > 0) return "pays";
  return high < 0 ? "loses" : "ties";
}

function armRow(arm: ArmName | "parent", runs: readonly ResultLine[]): string[] {
  const of = (value: (line: ResultLine) => number): number => mean(runs.map(value));
  return [
    NAMES[arm],
    String(runs[0]?.learning_rate ?? "–"),
    of(({ loss }) => loss).toFixed(4),
    `${(100 * of(({ accuracy }) => accuracy)).toFixed(2)} %`,
    (of(({ flops }) => flops) / 1e9).toFixed(0),
    of(({ wall_s }) => wall_s).toFixed(0),
  ];
}

function pairRow(seed: number, lines: readonly ResultLine[]): string[] {
  const lineOf = (arm: ArmName | "parent") => lines.find((line) => line.arm === arm && line.seed === seed);
  const losses = (["parent", ...ARMS] as const).map((arm) => lineOf(arm)?.loss.toFixed(4) ?? "–");
  return [String(seed), ...losses, lineOf("grown")?.seeds ?? "–"];
}

function seedsOf(lines: readonly ResultLine[]): number[] {
  return [...new Set(lines.map(({ seed }) => seed))].sort((a, b) => a - b);
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(header), line(header.map(() => "---")), ...rows.map(line)].join("\n");
}

function nats(value: number): string {
  return value.toFixed(4).replace("-", "−");
}
