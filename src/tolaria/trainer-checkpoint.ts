/** All that a trainer needs to go on from a step as if it had never stopped. */
import type { ProgressSnapshot } from "./progress.js";
import type { GoodState } from "./rollback.js";

export interface TrainerCheckpoint extends GoodState, ProgressSnapshot {
  /** From 0. */
  readonly epoch: number;
  /** What the watch for spikes remembers. */
  readonly watchedLosses: readonly number[];
  /** Whether there is a teacher still. */
  readonly taught: boolean;
  /** The state that a rollback would return to; undefined before the first observation. */
  readonly good: GoodState | undefined;
}
