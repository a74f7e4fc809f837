/**
 * Whether extending a trained network pays: a language model of one layer is trained, then either a whole new layer is grown into
 * it (`grow --from`, by the default policy, germinated at the start), or it is trained on, or the final net is trained from scratch.
 * Every arm is given the FLOPs that the grown run took in all, its shadow passes, probes and evaluations included; those of the
 * other arms are training steps alone. One cosine to 0 for all, rates from the same grid by other random seeds.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { mean } from "kasmina/base";
import type { Dataset, Tensors } from "kasmina/contracts";
import type { Backend } from "kasmina/engine";
import { charlm, type Host } from "kasmina/nn";
import { PlateauPolicy } from "kasmina/tamiyo";
import { type GrowOptions, type GrowResult, grow, readGrownNetwork } from "kasmina/weatherlight";
import type { Figures } from "../measurement.js";
import { trainFixed } from "./growth-control.js";
import { paired } from "./growth-statistics.js";
import { novelWith } from "./growth-tasks.js";
import { RememberingTracer } from "./remembering-tracer.js";
import { type ResultLine, ResultLines } from "./result-lines.js";

export const EXPERIMENT = "extension";
export const ARMS = ["grown", "continued", "final net, new FLOPs", "final net, all FLOPs"] as const;
export type ArmName = (typeof ARMS)[number];

/** Rates that each arm is tried at. */
const RATES = [0.01, 0.02, 0.04] as const;
/** The random seed that rates are chosen on; pairs count from 0. */
const TUNING_SEED = 1_000;
/** Chosen like the others: at 0.04 one random seed in two did worse, and training on from there came to NaN. */
const PARENT_RATE = 0.02;
const PARENT_EPOCHS = 5;
/** At 1.7 times the FLOPs a step about as many as the parent's. */
const GROWN_EPOCHS = 3;
const BATCH = 16;
const WIDTH = { d: 16, heads: 2 };
/** Rows of 64 characters that an observation evaluates. */
const HELD_OUT = 128;
/** Where trained parents stay, to be gone on from; not committed. */
const PARENTS = join("build", "growth-parents");
/** Of the 60 observations of a run; at once, because there is nothing to wait for. */
const POLICY = {
  germinateAtEpoch: 0,
  minTraining: 5,
  maxTraining: 12,
  minShadowing: 1,
  minProbation: 2,
  maxSeeds: 1,
};
/** A loaded machine is not what is measured. */
const LATENCY_BUDGET_MS = 60_000;

interface Setting {
  readonly backend: Backend;
  readonly dataset: Dataset;
  readonly host: Host;
  readonly tracer: RememberingTracer;
  readonly lines: ResultLines;
}

interface Parent {
  readonly folder: string;
  readonly parameters: Tensors;
  readonly flops: number;
}

export async function measureExtension(backend: Backend, pairs: number): Promise<Figures> {
  const dataset = await novelWith(HELD_OUT);
  const host = charlm({ ...dataset, ...WIDTH, layers: 1 });
  const lines = new ResultLines(EXPERIMENT);
  const setting = { backend, dataset, host, tracer: new RememberingTracer(), lines };
  for (const rate of RATES) await measureSeed(setting, TUNING_SEED, () => rate);
  for (let seed = 0; seed < pairs; seed++)
    await measureSeed(setting, seed, (arm) => tunedRate(lines.all, arm));
  return extensionFigures(lines.all);
}

/** The rate at which an arm did best on the random seed that is for that. */
export function tunedRate(lines: readonly ResultLine[], arm: ArmName): number {
  const tried = lines.filter(
    (line) => line.seed === TUNING_SEED && line.arm === arm && Number.isFinite(line.loss),
  );
  const best = tried.reduce((found, line) => (line.loss < found.loss ? line : found));
  return best.learning_rate;
}

/** What is not measured yet of one random seed. */
async function measureSeed(setting: Setting, seed: number, rateOf: (arm: ArmName) => number): Promise<void> {
  const { lines } = setting;
  const missing = ARMS.filter((arm) => !lines.of(arm, seed, rateOf(arm)));
  if (missing.length === 0) return;
  const parent = await parentOf(setting, seed);
  const grown =
    lines.of("grown", seed, rateOf("grown")) ??
    (await growOn(setting, parent, { seed, rate: rateOf("grown") }));
  for (const arm of missing.filter((name) => name !== "grown"))
    await trainArm(setting, parent, { seed, rate: rateOf(arm), arm, flops: grown.flops });
}

interface Asked {
  readonly seed: number;
  readonly rate: number;
}

const runOptions = (
  { backend, dataset, host, tracer }: Setting,
  seed: number,
): GrowOptions & { data: Dataset } =>
  ({
    ...{ host, data: dataset, engine: backend, tracer, seed, batch: BATCH, schedule: "cosine" },
    latencyBudget: LATENCY_BUDGET_MS,
  }) as const;

/** The trained network of one random seed, its folder there from now on. */
async function parentOf(setting: Setting, seed: number): Promise<Parent> {
  const { host, lines } = setting;
  const folder = join(PARENTS, `${EXPERIMENT}-${seed}`);
  const known = lines.of("parent", seed, PARENT_RATE);
  if (known && existsSync(join(folder, "summary.json"))) {
    const { parameters } = await readGrownNetwork(folder, { host });
    return { folder, parameters, flops: known.flops };
  }
  const training = { epochs: PARENT_EPOCHS, lr: PARENT_RATE, growth: false, runDir: folder };
  const result = await grow({ ...runOptions(setting, seed), ...training, runId: `parent-${seed}` });
  if (!known) told(lines.add(lineOf("parent", result, PARENT_RATE)));
  return { folder, parameters: result.network.parameters, flops: result.flopsTotal };
}

async function growOn(setting: Setting, parent: Parent, { seed, rate }: Asked): Promise<ResultLine> {
  const policy = new PlateauPolicy({
    ...POLICY,
    blueprints: [{ id: "host-block", parameters: { heads: WIDTH.heads } }],
  });
  const going = { from: parent.folder, epochs: GROWN_EPOCHS, lr: rate, policy };
  const result = await grow({ ...runOptions(setting, seed), ...going, runId: `grown-${seed}` });
  return told(setting.lines.add(lineOf("grown", result, rate)));
}

async function trainArm(
  { backend, dataset, host, lines }: Setting,
  parent: Parent,
  { seed, rate, arm, flops: newFlops }: Asked & { readonly arm: ArmName; readonly flops: number },
): Promise<void> {
  const startMs = performance.now();
  const continues = arm === "continued";
  const flops = arm === "final net, all FLOPs" ? parent.flops + newFlops : newFlops;
  const score = await trainFixed({
    ...{ backend, dataset, batch: BATCH, learningRate: rate, seed, flops, blocks: [] },
    host: continues ? host : charlm({ ...dataset, ...WIDTH, layers: 2 }),
    ...(continues && { initial: parent.parameters }),
  });
  const wall_s = (performance.now() - startMs) / 1_000;
  told(lines.add({ arm, seed, learning_rate: rate, flops, ...score, wall_s, measured: today() }));
}

function lineOf(arm: string, result: GrowResult, learning_rate: number): ResultLine {
  const { seed, flopsTotal: flops, testLoss: loss, accuracy, wallSeconds: wall_s, seeds } = result;
  const became = seeds.map(({ blueprint, slot, stage }) => `${blueprint} in ${slot} ${stage}`).join(", ");
  const grown = became === "" ? {} : { seeds: became };
  return { arm, seed, learning_rate, flops, loss, accuracy, wall_s, ...grown, measured: today() };
}

function told(line: ResultLine): ResultLine {
  console.error(JSON.stringify(line));
  return line;
}

function today(): string {
  return new Date().toISOString().slice(0, 10);
}

/** The lines of random seeds of which every arm is measured, without those that rates were chosen on. */
export function pairsIn(lines: readonly ResultLine[]): readonly ResultLine[] {
  const isWhole = (seed: number): boolean =>
    ARMS.every((arm) => lines.some((line) => line.arm === arm && line.seed === seed));
  return lines.filter(({ seed }) => seed < TUNING_SEED && isWhole(seed));
}

/** What a pair of runs has in common but the arm. */
export interface Comparison {
  readonly against: ArmName;
  /** By the grown run, in nats, pair by pair. */
  readonly saved: readonly number[];
}

export function comparisons(lines: readonly ResultLine[]): Comparison[] {
  const pairs = pairsIn(lines);
  const grown = pairs.filter(({ arm }) => arm === "grown");
  return ARMS.slice(1).map((against) => {
    const others = pairs.filter(({ arm }) => arm === against);
    const lossOf = (seed: number): number => others.find((line) => line.seed === seed)?.loss ?? Number.NaN;
    return { against, saved: grown.map(({ seed, loss }) => lossOf(seed) - loss) };
  });
}

/** Of the pairs measured so far. */
export function extensionFigures(lines: readonly ResultLine[]): Figures {
  const arms = ["parent", ...ARMS].map((arm) => {
    const own = pairsIn(lines).filter((line) => line.arm === arm);
    const of = (value: (line: ResultLine) => number): number => mean(own.map(value));
    return [
      arm,
      {
        runs: own.length,
        learning_rate: own[0]?.learning_rate ?? null,
        loss: of(({ loss }) => loss),
        accuracy: of(({ accuracy }) => accuracy),
        gflops: of(({ flops }) => flops) / 1e9,
        wall_s: of(({ wall_s }) => wall_s),
      },
    ] as const;
  });
  const saved = comparisons(lines).map(({ against, saved: each }) => [against, paired(each)] as const);
  return { arms: Object.fromEntries(arms), loss_saved_against: Object.fromEntries(saved) };
}
