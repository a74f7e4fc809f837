/** What goes wrong in training, as its own outputs show it, and which seeds are to blame. */
import { isFiniteTensor, type Tensors } from "../../contracts/index.js";
import type { Kasmina, StepMeasurement } from "../../kasmina/index.js";
import type { LossProblem } from "./loss-watch.js";

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
