/** What goes wrong in training, how it is detected in losses and in state, and which seeds are to blame. */
import { mean } from "../../base/index.js";
import { isFiniteTensor, nonFinitePaths, seedOf, type Tensors } from "../../contracts/index.js";
import type { Kasmina, StepMeasurement } from "../../kasmina/index.js";

/** Steps that a spike is judged on, and the steps before them that it is compared with. */
const RECENT = 8;
const BEFORE = 56;
/** The recent mean must be above `FACTOR` times the mean before, and by `MARGIN` nats: one hard batch is no spike. */
const FACTOR = 2;
const MARGIN = 0.5;

export type LossProblem = "loss_not_finite" | "loss_spike";

/** Watches the training loss for what no amount of training repairs: values that are not finite, and spikes that stay. */
export class LossWatch {
  #losses: number[] = [];

  /** The losses it remembers, for a checkpoint. */
  get losses(): readonly number[] {
    return this.#losses;
  }

  /** Takes in the loss of one step; says what is wrong, if anything. */
  see(loss: number): LossProblem | undefined {
    if (!Number.isFinite(loss)) return "loss_not_finite";
    this.#losses = [...this.#losses.slice(1 - RECENT - BEFORE), loss];
    if (this.#losses.length < RECENT + BEFORE) return undefined;
    const before = mean(this.#losses.slice(0, BEFORE));
    return mean(this.#losses.slice(BEFORE)) > FACTOR * before + MARGIN ? "loss_spike" : undefined;
  }

  /** Forgets everything, or goes on from what a checkpoint remembered. */
  restart(losses: readonly number[] = []): void {
    this.#losses = [...losses];
  }
}

/** Whose tensors are not finite: parameters or optimizer state. */
export interface NonFinite {
  readonly host: boolean;
  readonly seedIds: readonly string[];
}

export function nonFiniteIn(tensors: Tensors): NonFinite {
  const owners = nonFinitePaths(tensors).map(seedOf);
  const seedIds = new Set(owners.filter((id) => id !== undefined));
  return { host: owners.includes(undefined), seedIds: [...seedIds] };
}

export interface TrainingFailure {
  /**
   * `data_not_finite`: the loss is not finite, and the batch was not either. `state_not_finite`: parameters or optimizer
   * state of the host are not, though the loss is.
   */
  readonly cause: LossProblem | "data_not_finite" | "state_not_finite" | "isolation_breaker" | "command";
  /** One line for people. */
  readonly reason: string;
  /** Seeds to blame, which are culled. Left out: those that were in the output when it happened. */
  readonly seedIds?: readonly string[];
}

/** The batch is looked at only now: no seed is to blame for data that no network can learn from. */
export function lossFailure(problem: LossProblem, loss: number, batch: Tensors): TrainingFailure {
  if (problem === "loss_spike")
    return { cause: problem, reason: `the loss rose to ${loss.toPrecision(4)} and stayed` };
  if (Object.values(batch).every(isFiniteTensor)) return { cause: problem, reason: `the loss is ${loss}` };
  return {
    cause: "data_not_finite",
    reason: `the loss is ${loss}, and the batch is not finite`,
    seedIds: [],
  };
}

/** The host is not finite, and the loss does not show it yet. */
export const NON_FINITE_HOST: TrainingFailure = {
  cause: "state_not_finite",
  reason: "parameters or optimizer state of the host are not finite",
  seedIds: [],
};

export function isolationFailure(seedIds: readonly string[]): TrainingFailure {
  const what = `the isolation breaker of ${seedIds.join(", ")} opened`;
  return { cause: "isolation_breaker", reason: what, seedIds };
}

/**
 * Culls seeds in TRAINING whose own loss is not finite: no amount of training repairs them. The network has not seen them,
 * so nothing is rolled back.
 */
export function cullNonFinite(kasmina: Kasmina, { loss, seeds }: StepMeasurement, nextStep: number): void {
  if (!Number.isFinite(loss)) return;
  for (const [id, measured] of Object.entries(seeds)) {
    if (kasmina.seed(id)?.stage === "TRAINING" && !Number.isFinite(measured.loss))
      kasmina.cull(id, "loss_not_finite", nextStep);
  }
}
