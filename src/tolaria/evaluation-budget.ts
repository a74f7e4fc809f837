/** What a run may spend on judging itself. It follows from what the run has cost so far, and so never from time. */
import type { FlopsByPart } from "../contracts/index.js";

/** Part of all FLOPs that evaluations and comparisons may take, the test rows at the end included. */
export const EVALUATION_SHARE = 0.036;
export interface Spending {
  /** So far. */
  readonly flops: FlopsByPart;
  /** Of the evaluation at the run's end. */
  readonly atTheEnd: number;
  /** Part of the run that is done, 0 to 1. */
  readonly done: number;
}

/** FLOPs that are left to be spent by now, 0 or more. */
export function allowance({ flops, atTheEnd, done }: Spending): number {
  const { training, shadow, evaluation, counterfactual } = flops;
  const earned = (EVALUATION_SHARE / (1 - EVALUATION_SHARE)) * (training + shadow);
  return Math.max(0, earned - evaluation - counterfactual - atTheEnd * done);
}
