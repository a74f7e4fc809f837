/** All that a trainer needs to go on from a step as if it had never stopped. */
import type { ProgressSnapshot } from "./progress.js";
import type { GoodState, RollbackSnapshot } from "./recovery/rollback.js";

export interface TrainerCheckpoint extends GoodState, ProgressSnapshot, RollbackSnapshot {
  /** From 0. */
  readonly epoch: number;
  /** Whether it was taken at the first boundary of an epoch, not where the run was stopped within one. */
  readonly atEpochStart: boolean;
  /** What the watch for spikes remembers. */
  readonly watchedLosses: readonly number[];
  /** Whether there is a teacher still. */
  readonly taught: boolean;
  /** Whether the state is to be kept for a rollback, once isolation has been looked at. */
  readonly keepDue: boolean;
}
