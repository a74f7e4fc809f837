/**
 * What growth costs in a run, for a policy's budgets: the host's programs and each kernel's forward pass are counted from
 * their IR, and what a seed adds to a program is bounded from above by factors that a test holds against the programs
 * themselves. Tracing every program of every candidate would cost the run more than the answer is worth.
 */

import { sum } from "../../base/index.js";
import { countKernelParameters, resolveParameters } from "../../contracts/index.js";
import { type ProgramDefinition, trace } from "../../engine/index.js";
import type { Seed } from "../../kasmina/index.js";
import { kernelProgram, monitoredRows } from "../../network/index.js";
import { type BlueprintRegistry, type Host, slotsOf } from "../../nn/index.js";
import type { Arm, ArmCost, Candidate, GrowthCosts } from "../../tamiyo/index.js";
import { definitionsOf, type Optimizer, topologyOf } from "../../tolaria/index.js";

/** Forward passes of a kernel that its part in a training step is worth, gradients by weights and input included. */
const KERNEL_PASSES = 3.5;
/** FLOPs with which an optimizer updates one scalar, at most. */
const UPDATE_FLOPS = 24;
/** Forward passes of a kernel in an evaluation: with the seed, and in the comparison. */
const EVALUATION_PASSES = 2.2;
/** Passes, forward and back, that a look of the isolation monitor takes. */
const PROBE_PASSES = 2;
/** Rows that a kernel is counted with. */
const COUNTED_ROWS = 8;

export interface GrowthCostsOptions {
  readonly host: Host;
  readonly blueprints: BlueprintRegistry;
  readonly optimizer: Optimizer;
  /** Rows of a training step, and of an evaluation batch. */
  readonly batch: number;
  readonly evaluationBatch: number;
  /** Rows that every observation evaluates, and those that the end of the run does. */
  readonly heldOutRows: number;
  readonly testRows: number;
  readonly stepsPerEpoch: number;
  readonly epochs: number;
  readonly observeEverySteps: number;
  /** Steps between two looks of the isolation monitor, and from a command to its effect. */
  readonly isolationEverySteps: number;
  readonly leadSteps: number;
  /** Seeds that the run began with: part of the host. Default: none. */
  readonly inherited?: readonly Seed[];
  /** The seeds of the run. */
  readonly seeds: () => readonly Seed[];
}

/** A module beside the host: FLOPs of its forward pass for one row, and its scalars. */
interface Weight {
  readonly forward: number;
  readonly scalars: number;
}

export class CountedCosts implements GrowthCosts {
  readonly #options: GrowthCostsOptions;
  readonly #forward = new Map<string, number>();
  #programs: { readonly train: number; readonly evaluation: number } | undefined;

  constructor(options: GrowthCostsOptions) {
    this.#options = options;
  }

  /** Counts all that these candidates will be asked about: tracing takes the thread, which a step should not wait for. */
  countAhead(candidates: readonly Candidate[]): void {
    if (candidates.length === 0) return;
    void this.#host;
    for (const slot of slotsOf(this.#options.host)) {
      for (const candidate of candidates) this.#weigh({ slotId: slot.id, candidate });
    }
  }

  hostFlops(step: number): number {
    const { testRows } = this.#options;
    const done = Math.min(step, this.#stepsTotal);
    const test = step > this.#stepsTotal ? this.#batches(testRows) : 0;
    const { train, evaluation } = this.#host;
    return done * train + (this.#evaluations(0, done) + test) * evaluation;
  }

  of(arm: Arm, { step }: { readonly step: number }, maxTraining: number): ArmCost | undefined {
    const { batch, observeEverySteps, leadSteps, seeds } = this.#options;
    const own = this.#weigh(arm);
    if (!own) return undefined;
    const present = seeds().flatMap(({ slotId, blueprintId: id, parameters, stage, inherited }) => {
      const weight =
        stage === "FOSSILIZED" && !inherited
          ? this.#weigh({ slotId, candidate: { id, parameters } })
          : undefined;
      return weight ? [weight] : [];
    });
    // As long as its training may last, commands that are on their way included.
    const trial = (maxTraining + 3) * observeEverySteps + 2 * leadSteps;
    const inShadow = Math.min(trial, this.#stepsTotal - step);
    return {
      parameters: own.scalars,
      flopsToTheEnd:
        this.#blended([...present, own], step) +
        this.#comparisons([...present, own], step) +
        inShadow * this.#shadowPass(present) +
        this.#probes(present, own, step),
      stepShare: (batch * KERNEL_PASSES * own.forward) / this.#host.train,
    };
  }

  /** A step of the host alone, and its evaluation of one batch. Counted when first asked for. */
  get #host(): { readonly train: number; readonly evaluation: number } {
    const { host, blueprints, optimizer, batch, evaluationBatch, inherited = [] } = this.#options;
    if (!this.#programs) {
      const monitor = { batch, rows: monitoredRows(batch), coordinates: 1 };
      const options = { optimizer, trainBatch: batch, evaluationBatch, monitor };
      const { train, evaluate } = definitionsOf(
        topologyOf({ host, blueprints, hostGradient: "detach" }, inherited),
        options,
      );
      this.#programs = { train: trace(train).flops, evaluation: trace(evaluate).flops };
    }
    return this.#programs;
  }

  get #stepsTotal(): number {
    return this.#options.epochs * this.#options.stepsPerEpoch;
  }

  /** What seeds in the output add to every step and evaluation from `step` to the end of the run. */
  #blended(seeds: readonly Weight[], step: number): number {
    const { batch, evaluationBatch } = this.#options;
    const forward = sum(seeds.map((seed) => seed.forward));
    const scalars = sum(seeds.map((seed) => seed.scalars));
    const aStep = batch * KERNEL_PASSES * forward + UPDATE_FLOPS * scalars;
    const anEvaluation = evaluationBatch * EVALUATION_PASSES * forward;
    return (this.#stepsTotal - step) * aStep + this.#evaluationsLeft(step) * anEvaluation;
  }

  /** What it takes to compare a seed with its absence, by one more pass that the others are in, as if to the end of the run. */
  #comparisons(seeds: readonly Weight[], step: number): number {
    const forward = sum(seeds.map((seed) => seed.forward));
    return this.#evaluationsLeft(step) * (this.#host.evaluation + this.#options.evaluationBatch * forward);
  }

  /** What a step's second pass for the shadow loss costs besides the seed itself: no more than the network's own. */
  #shadowPass(present: readonly Weight[]): number {
    const { batch } = this.#options;
    return this.#host.train + batch * KERNEL_PASSES * sum(present.map((seed) => seed.forward));
  }

  /** The isolation monitor's looks, as if the seed were isolated to the end of the run. */
  #probes(present: readonly Weight[], own: Weight, step: number): number {
    const { batch, isolationEverySteps } = this.#options;
    const pass = this.#shadowPass([...present, own]);
    const looks = (this.#stepsTotal - step) / isolationEverySteps + 1;
    return looks * PROBE_PASSES * pass * (monitoredRows(batch) / batch);
  }

  /** Batches evaluated at the observations after `from`, up to and with `to`. */
  #evaluations(from: number, to: number): number {
    const { observeEverySteps, stepsPerEpoch, heldOutRows } = this.#options;
    const until = (step: number): number => {
      const both = leastCommonMultiple(observeEverySteps, stepsPerEpoch);
      return (
        Math.floor(step / observeEverySteps) + Math.floor(step / stepsPerEpoch) - Math.floor(step / both)
      );
    };
    return (until(to) - until(from)) * this.#batches(heldOutRows);
  }

  /** Batches evaluated from `step` on, those of the test rows included. */
  #evaluationsLeft(step: number): number {
    return this.#evaluations(step, this.#stepsTotal) + this.#batches(this.#options.testRows);
  }

  #batches(rows: number): number {
    return Math.ceil(rows / this.#options.evaluationBatch);
  }

  #weigh({ slotId, candidate }: Arm): Weight | undefined {
    const { host, blueprints } = this.#options;
    const slot = slotsOf(host).find(({ id }) => id === slotId);
    const blueprint = blueprints.find(candidate.id);
    if (!slot || !blueprint?.supports(slot.shape)) return undefined;
    const values = resolveParameters(blueprint, candidate.parameters);
    const key = JSON.stringify([blueprint.id, slot.shape, Object.entries(values).sort()]);
    const forward =
      this.#forward.get(key) ?? forwardFlops(kernelProgram(blueprint, slot.shape, values, COUNTED_ROWS));
    this.#forward.set(key, forward);
    return { forward, scalars: countKernelParameters(blueprint, slot.shape, values) };
  }
}

/** Of one row. A kernel that cannot be traced costs nothing: it fails its gate. */
function forwardFlops(program: ProgramDefinition): number {
  try {
    return trace(program).flops / COUNTED_ROWS;
  } catch {
    return 0;
  }
}

function leastCommonMultiple(a: number, b: number): number {
  let [divisor, rest] = [a, b];
  while (rest > 0) [divisor, rest] = [rest, divisor % rest];
  return (a * b) / divisor;
}
