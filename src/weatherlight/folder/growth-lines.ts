/**
 * What a growth run says while it goes on: the lines of `kasmina grow --json` (docs/command-line.md, "JSON lines"), and
 * notices for people.
 */

import type { AttributeValue, Stage, TelemetryLevel } from "../../contracts/index.js";
import type { Evaluation } from "../../network/index.js";

/** Which training a line is about: the growing host, or the same host alone for `--compare`. */
export type Phase = "grow" | "host_alone";

export interface SeedProgress {
  readonly id: string;
  readonly stage: Stage;
  readonly alpha: number;
}

/** Every few steps; at the same steps whatever the speed. */
export interface StepLine {
  readonly type: "step";
  readonly phase: Phase;
  /** Steps done, over all epochs. */
  readonly step: number;
  readonly steps_total: number;
  /** From 1. */
  readonly epoch: number;
  readonly loss: number;
  readonly seeds: readonly SeedProgress[];
}

export interface EpochLine {
  readonly type: "epoch";
  readonly phase: Phase;
  /** From 1. */
  readonly epoch: number;
  readonly train_loss: number;
  /** On the held-out rows. */
  readonly val_loss: number;
  readonly val_accuracy: number;
}

/** A telemetry event, its attributes next to name and level. */
export interface EventLine {
  readonly type: "event";
  /** Left out: `grow`. */
  readonly phase?: Phase;
  readonly name: string;
  readonly level: TelemetryLevel;
  readonly [attribute: string]: AttributeValue | undefined;
}

export interface SeedReport {
  readonly id: string;
  readonly blueprint: string;
  readonly slot: string;
  readonly stage: Stage;
  readonly alpha: number;
  /** Host loss − shadow loss, held out; null where it was not measured. */
  readonly shadow_gain: number | null;
  /** Loss without the seed − loss with it, held out; null where it was not measured. */
  readonly contribution: number | null;
  /** Whether the run began with it, so that it counts as the host's; left out where it did not. */
  readonly inherited?: true | undefined;
}

/**
 * How a run came to its end: its last epoch, an operator's `emergency halt`, or a signal. One that was halted or interrupted can be
 * resumed.
 */
export type Ended = "finished" | "halted" | "interrupted";

/** The last line of a run. */
export interface Summary {
  readonly type: "summary";
  /** Left out in reports of the time before it was written. */
  readonly ended?: Ended;
  readonly run_id: string;
  readonly engine: string;
  readonly seed: number;
  readonly host: string;
  readonly data: string;
  /** Of all that the training saw of the data; left out in reports of the time before it was written. */
  readonly data_sha256?: string;
  /** Digest of the checkpoint, or of the ONNX file, that the run went on from; left out where it began afresh. */
  readonly parent?: string;
  readonly epochs: number;
  /** On the test set; null where the host was not also trained alone. */
  readonly accuracy_host_alone: number | null;
  /** On the test set, 0..1; null where the run was interrupted. */
  readonly accuracy: number | null;
  /** This and the next three are left out in reports of the time before they were written. */
  readonly task?: Evaluation["task"];
  /** On the test set, in nats; null where the run was interrupted. */
  readonly loss?: number | null;
  /** On the test set; null where the run was interrupted. */
  readonly metrics?: Evaluation["metrics"] | null;
  /** Null where the host was not also trained alone. */
  readonly metrics_host_alone?: Evaluation["metrics"] | null;
  readonly params_host: number;
  readonly params_total: number;
  readonly flops_total: number;
  readonly steps_per_s: number;
  readonly wall_s: number;
  readonly seeds: readonly SeedReport[];
  readonly commands: { readonly accepted: number; readonly rejected: number };
  readonly isolation: {
    readonly violations: number;
    readonly max_leak_ratio: number;
    readonly max_cosine: number;
  };
}

/** For people, on stderr: which engine and why, where the checkpoint is. Not among the JSON lines. */
export interface NoticeLine {
  readonly type: "notice";
  readonly text: string;
  /** Shown with `--quiet` too: what is otherwise than one would think. Default false. */
  readonly always?: boolean;
}

export type GrowthLine = StepLine | EpochLine | EventLine | Summary | NoticeLine;
