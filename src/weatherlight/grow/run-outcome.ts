/** What A run leaves behind: at its end, and in the checkpoints on the way. */
import type { FlopsByPart } from "../../contracts/index.js";
import type { Seed } from "../../kasmina/index.js";
import type { TrainerCheckpoint, TrainingEnd } from "../../tolaria/index.js";

/** Everything a run needs to go on, or to be looked at. */
export interface RunCheckpoint extends TrainerCheckpoint {
  /** What the policy remembers; null without one. */
  readonly policy: unknown;
  /** Commands that the policy has sent. */
  readonly commandsSent: number;
  /** On the held-out rows as last measured; NaN where the network is wrecked. */
  readonly heldOutLoss?: number | undefined;
  readonly commands: { readonly accepted: number; readonly rejected: number };
  readonly seeds: readonly SeedOutcome[];
}

/** What of a checkpoint is the run's network: the best one, where that was to be kept, else the last. */
export function networkIn<T extends Pick<RunCheckpoint, "step" | "tensors" | "kasmina" | "bestNetwork">>(
  checkpoint: T,
): Pick<RunCheckpoint, "step" | "tensors" | "kasmina"> {
  return checkpoint.bestNetwork ?? checkpoint;
}

/** A seed as a report shows it. */
export interface SeedOutcome {
  readonly seed: Seed;
  readonly alpha: number;
  /** Last measured while it trained; null where it never was. */
  readonly shadowGain: number | null;
  /** Last measured while it was blended; null where it never was. */
  readonly contribution: number | null;
}

export interface RunOutcome {
  readonly end: TrainingEnd;
  /** On the test set, as is `testLoss`; both NaN where the run was aborted, the accuracy also where the task has none. */
  readonly accuracy: number;
  readonly testLoss: number;
  readonly steps: number;
  readonly paramsHost: number;
  readonly paramsTotal: number;
  readonly flopsTotal: number;
  /** What they went into; left out where the run began when it was not counted. */
  readonly flopsByPart?: FlopsByPart;
  /** Wall-clock seconds of training, evaluations included. */
  readonly wallSeconds: number;
  /** Of the steps that this process did, evaluations included, the preparation of the first one not. */
  readonly stepsPerSecond: number;
  readonly seeds: readonly SeedOutcome[];
  /** On the held-out rows as last measured; NaN where the network is wrecked. */
  readonly heldOutLoss?: number | undefined;
  readonly commands: { readonly accepted: number; readonly rejected: number };
  /** Violations of this run, and the worst that the isolation monitor read. */
  readonly isolation: {
    readonly violations: number;
    readonly maxLeakRatio: number;
    readonly maxCosine: number;
  };
  readonly checkpoint: RunCheckpoint;
}
