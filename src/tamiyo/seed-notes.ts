/** What a policy remembers of each growing seed. Plain data, part of its snapshot. */
import type { Estimate, SeedState, Stage } from "../contracts/index.js";

export interface SeedNotes {
  readonly stage: Stage;
  /** Observations in that stage. */
  readonly observations: number;
  /** What the stage is judged by, as measured in it, the newest last: shadow gains in TRAINING, contributions once blended. */
  readonly measured: readonly Estimate[];
  /** The last shadow gains of its training, kept when that is over. */
  readonly gains: readonly Estimate[];
  /** The observation of this stage at which a command was sent. */
  readonly askedAt?: number;
}

/** Most measurements that are remembered of one stage. */
const REMEMBERED = 32;
/** A command that has shown no effect by so many observations is given up for lost. */
const LOST_AFTER = 2;

/** The notes with one more observation of the seed; a new stage begins new ones. */
export function noted(known: SeedNotes | undefined, seed: SeedState): SeedNotes {
  const { stage, shadowGain, contribution } = seed;
  const before =
    known?.stage === stage ? known : { stage, observations: 0, measured: [], gains: known?.gains ?? [] };
  const estimate = stage === "TRAINING" ? shadowGain : contribution;
  const measured = estimate ? [...before.measured, estimate].slice(-REMEMBERED) : before.measured;
  const gains = stage === "TRAINING" ? measured : before.gains;
  return { ...before, observations: before.observations + 1, measured, gains };
}

/** Whether no command to the seed is on its way: none is planned, and none was sent that may still arrive. */
export function isFree(seed: SeedState, { askedAt, observations }: SeedNotes): boolean {
  if (seed.pending !== undefined || seed.pausedFrom !== undefined) return false;
  return askedAt === undefined || observations - askedAt >= LOST_AFTER;
}
