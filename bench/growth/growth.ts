/**
 * Whether growth pays: pairs of runs with the same random seed, a grown host and the same host alone, which is given every
 * FLOP that the grown run took (its shadow passes, probes, evaluations and culled seeds too) for training steps alone.
 * Scored on test rows that neither gates nor policy see. Beside them: the block that the policy kept, part of the network from
 * the first step, and the baseline policies.
 */

import { mean, sum } from "kasmina/base";
import type { SystemState } from "kasmina/contracts";
import { type Backend, openBackend } from "kasmina/engine";
import { type Arm, PlateauPolicy, type Policy, RandomPolicy, SchedulePolicy } from "kasmina/tamiyo";
import { type GrowResult, grow } from "kasmina/weatherlight";
import type { Figures, Measurement } from "../measurement.js";
import { EXPERIMENT, measureExtension } from "./extension.js";
import { GraftWatch } from "./graft-watch.js";
import { type Score, trainFixed } from "./growth-control.js";
import { paired } from "./growth-statistics.js";
import { writeTable } from "./growth-table.js";
import { GROWTH_TASKS, type GrowthTask } from "./growth-tasks.js";
import { RememberingTracer } from "./remembering-tracer.js";

const PAIRS = 10;
/** Leaves the controls out. */
const PAIRS_ONLY = "--pairs-only";

interface GrownRun extends Score {
  readonly result: GrowResult;
  /** Largest relative rise of the held-out loss at a boundary where a stage or an alpha changed, at the same weights. */
  readonly worstGraft: number;
  /** Boundaries that this is the worst of, and those at which it could not be measured. */
  readonly boundaries: number;
  readonly unmeasured: number;
  /** Largest relative rise by a graft as far as it is in, at any alpha and until the host below learns with it: with against without, at the same weights. */
  readonly worstPresence: number;
  /** The same from the last evaluation before any change of stage to the first after it, training in between. */
  readonly worstChange: number;
  /** The same between two evaluations without a change: what training does to the loss by itself. */
  readonly worstOtherwise: number;
}

function policyOf(name: string, { candidates, policy }: GrowthTask, seed: number): Policy {
  const { maxSeeds = 2 } = policy;
  const options = { blueprints: candidates, maxSeeds };
  if (name === "schedule") return new SchedulePolicy({ ...options, at: [0.2, 0.45] });
  if (name === "random") return new RandomPolicy({ ...options, seed });
  return new PlateauPolicy({ ...options, ...policy });
}

async function growOnce(
  backend: Backend,
  task: GrowthTask,
  seed: number,
  policy: Policy,
  tracer: RememberingTracer,
) {
  const seen: SystemState[] = [];
  const changes: number[] = [];
  const watch = new GraftWatch(task.dataset, tracer);
  const result = await grow({
    runId: `growth-${seed}`,
    host: task.host,
    data: task.dataset,
    epochs: task.epochs,
    batch: task.batch,
    lr: task.learningRate,
    engine: watch.watched(backend),
    onControl: (control) => watch.follow(control),
    tracer,
    seed,
    policy,
    // A loaded machine is not what is measured.
    latencyBudget: 60_000,
    onObservation: (state) => seen.push(state),
    onEvent: ({ name, attributes }) => {
      if (name === "seed_stage") changes.push(Number(attributes.step));
    },
  });
  return {
    result,
    accuracy: result.accuracy,
    loss: result.testLoss,
    worstGraft: watch.worstRise,
    boundaries: watch.steps.length,
    unmeasured: watch.unmeasured,
    worstPresence: Math.max(watch.worstPresence, ...seen.flatMap(graftRises)),
    worstChange: Math.max(0, ...changes.map((step) => riseAcross(seen, step))),
    worstOtherwise: Math.max(0, ...quietSteps(seen, changes).map((step) => riseAcross(seen, step))),
  } satisfies GrownRun;
}

/** Of the seeds in the output by now: what their presence adds to the loss, relative to the loss without them. */
function graftRises({ seeds, heldOutLoss }: SystemState): number[] {
  const loss = heldOutLoss?.value ?? Number.NaN;
  return seeds
    .filter(({ stage, contribution }) => contribution && (stage === "BLENDING" || stage === "SHADOWING"))
    .map(({ contribution }) => -(contribution?.value ?? 0) / (loss + (contribution?.value ?? 0)));
}

/** Observations after which nothing changes before the next. */
function quietSteps(seen: readonly SystemState[], changes: readonly number[]): number[] {
  return seen.slice(0, -1).flatMap(({ step }, i) => {
    const next = seen[i + 1]?.step ?? step;
    return changes.some((change) => change >= step && change < next) ? [] : [step];
  });
}

function riseAcross(seen: readonly SystemState[], step: number): number {
  const before = seen.findLast((state) => state.step <= step)?.heldOutLoss?.value;
  const after = seen.find((state) => state.step > step)?.heldOutLoss?.value;
  return before === undefined || after === undefined ? 0 : (after - before) / before;
}

interface Asked {
  readonly pairs: number;
  readonly controls: boolean;
}

async function measureTask(backend: Backend, name: string, { pairs, controls }: Asked): Promise<Figures> {
  const task = await (GROWTH_TASKS[name] ?? unknownTask(name))();
  const controlled = controls ? Math.min(task.controls, pairs) : 0;
  const tracer = new RememberingTracer();
  const grown: GrownRun[] = [];
  const alone: Score[] = [];
  const joint: Score[] = [];
  const baselines: Record<string, Score[]> = { schedule: [], random: [] };
  for (let seed = 0; seed < pairs; seed++) {
    const run = await growOnce(backend, task, seed, policyOf("plateau", task, seed), tracer);
    const flops = run.result.flopsTotal;
    grown.push(run);
    alone.push(await trainFixed({ backend, ...task, seed, flops, blocks: [] }));
    console.error(pairLine(name, seed, run, alone.at(-1)));
  }
  for (const [seed, { result }] of grown.slice(0, controlled).entries()) {
    const flops = result.flopsTotal;
    joint.push(await trainFixed({ backend, ...task, seed, flops, blocks: firstBlock(task) }));
    for (const [policy, scores] of Object.entries(baselines))
      scores.push(await growOnce(backend, task, seed, policyOf(policy, task, seed), tracer));
    console.error(`${name} ${seed}: joint ${described(joint.at(-1))}`);
  }
  return {
    ...summarize(task, { grown, alone, joint }),
    baselines: summarizeBaselines(baselines, grown.slice(0, controlled)),
  };
}

/** The policy's own first choice. */
function firstBlock({ candidates, host }: GrowthTask): readonly Arm[] {
  const slotId = host.blocks.find(({ slot }) => slot)?.name ?? "";
  return candidates.slice(0, 1).map((candidate) => ({ slotId, candidate }));
}

function unknownTask(name: string): never {
  throw new Error(`no task ${name}; known: ${Object.keys(GROWTH_TASKS).join(", ")}`);
}

function pairLine(name: string, seed: number, run: GrownRun, alone: Score | undefined): string {
  const became = run.result.seeds.map(({ slot, stage }) => `${slot} ${stage}`).join(", ");
  const rises = Object.entries({
    "at a boundary": run.worstGraft,
    "by presence": run.worstPresence,
    "across a change": run.worstChange,
    otherwise: run.worstOtherwise,
  }).map(([where, share]) => `${where} ${(share * 100).toFixed(3)} %`);
  const cost = `${(run.result.flopsTotal / 1e9).toFixed(3)} GFLOPs`;
  return `${name} ${seed}: grown ${described(run)}, alone ${described(alone)}; ${cost}; ${became}; worst rise ${rises.join(", ")}`;
}

function described(score: Score | undefined): string {
  return score ? `${score.accuracy.toFixed(4)} (${score.loss.toFixed(4)})` : "not run";
}

function summarize(
  { epochs, batch, learningRate }: GrowthTask,
  {
    grown,
    alone,
    joint,
  }: Record<"alone" | "joint", readonly Score[]> & { readonly grown: readonly GrownRun[] },
): Figures {
  const differences = (others: readonly Score[]): Figures => ({
    accuracy: paired(others.map((other, i) => (grown[i]?.accuracy ?? Number.NaN) - other.accuracy)),
    loss_saved: paired(others.map((other, i) => other.loss - (grown[i]?.loss ?? Number.NaN))),
  });
  const seeds = grown.flatMap(({ result }) => result.seeds);
  return {
    pairs: grown.length,
    epochs,
    batch,
    learning_rate: learningRate,
    gflops: mean(grown.map(({ result }) => result.flopsTotal)) / 1e9,
    params_host: grown[0]?.result.paramsHost ?? 0,
    params_grown: mean(grown.map(({ result }) => result.paramsTotal)),
    grown: scores(grown),
    host_alone: scores(alone),
    joint_from_start: scores(joint),
    grown_over_host_alone: differences(alone),
    grown_over_joint: differences(joint),
    seeds_kept: `${seeds.filter(({ stage }) => stage === "FOSSILIZED").length} of ${seeds.length}`,
    worst_graft_rise: Math.max(...grown.map(({ worstGraft }) => worstGraft)),
    graft_boundaries: sum(grown.map(({ boundaries }) => boundaries)),
    graft_boundaries_unmeasured: sum(grown.map(({ unmeasured }) => unmeasured)),
    worst_rise_by_presence: Math.max(...grown.map(({ worstPresence }) => worstPresence)),
    worst_rise_across_a_change: Math.max(...grown.map(({ worstChange }) => worstChange)),
    worst_rise_without_a_change: Math.max(...grown.map(({ worstOtherwise }) => worstOtherwise)),
  };
}

function scores(runs: readonly Score[]): Figures {
  return { accuracy: mean(runs.map(({ accuracy }) => accuracy)), loss: mean(runs.map(({ loss }) => loss)) };
}

function summarizeBaselines(
  baselines: Readonly<Record<string, readonly Score[]>>,
  grown: readonly Score[],
): Figures {
  const same = Object.entries(baselines).map(([name, runs]) => [name, scores(runs)] as const);
  return { ...Object.fromEntries(same), plateau: scores(grown) };
}

async function measure(args: readonly string[]): Promise<Figures> {
  if (args.includes("--table")) return writeTable();
  if (args.includes(EXPERIMENT)) return extension(args);
  const names = args.filter((argument) => !/^\d+$|^--/.test(argument));
  const pairs = Number(args.find((argument) => /^\d+$/.test(argument)) ?? PAIRS);
  const { backend } = await openBackend("auto", { threads: 1 });
  const figures: Record<string, Figures> = {};
  for (const name of names.length > 0 ? names : Object.keys(GROWTH_TASKS))
    figures[name] = await measureTask(backend, name, { pairs, controls: !args.includes(PAIRS_ONLY) });
  await backend.dispose();
  return { engine: backend.name, ...figures };
}

/** Grown into a network that is trained already: what is not measured yet of so many pairs. */
async function extension(args: readonly string[]): Promise<Figures> {
  const pairs = Number(args.find((argument) => /^\d+$/.test(argument)) ?? PAIRS);
  const { backend } = await openBackend("auto", { threads: 1 });
  const figures = await measureExtension(backend, pairs);
  await backend.dispose();
  return figures;
}

export const growth: Measurement = {
  name: "growth",
  summary:
    "grown against the host alone at equal FLOPs, in pairs of runs; [mnist|spirals|novel] [pairs] [--pairs-only]; extension [pairs]; --table writes docs/growth.md",
  run: measure,
};
