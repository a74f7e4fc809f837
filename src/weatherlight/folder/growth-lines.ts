/**
 * What a growth run says while it goes on: the lines of `kasmina grow --json` (docs/command-line.md, "JSON lines"), and
 * notices for people.
 */

import {
  type AttributeValue,
  type FlopsByPart,
  type Score,
  type ScoreName,
  type Stage,
  TASK_TRAITS,
  type TelemetryLevel,
} from "../../contracts/index.js";
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
  /** Null where the task has none; then one of the next two is there instead. */
  readonly val_accuracy: number | null;
  readonly val_r2?: number;
  readonly val_micro_f1?: number;
}

/** The score of a task as lines and records have it: under its own name, and an accuracy that is null where it is another one. */
export function scoreFields({
  name,
  value,
}: Score): Pick<EpochLine, "val_accuracy" | "val_r2" | "val_micro_f1"> {
  return name === "accuracy" ? { val_accuracy: value } : { val_accuracy: null, [`val_${name}`]: value };
}

/** What a line or record says of the score. */
export function scoreIn(
  line: {
    readonly [F in `val_${ScoreName}`]?: number | null | undefined;
  },
): Score | undefined {
  const names: readonly ScoreName[] = ["accuracy", "r2", "micro_f1"];
  for (const name of names) {
    const value = line[`val_${name}`];
    if (typeof value === "number") return { name, value };
  }
  return undefined;
}

/** The score of a whole network on the test set, and of its host alone; null where it was not measured. */
export interface TestScore {
  readonly name: ScoreName;
  readonly value: number | null;
  readonly alone: number | null;
}

export function testScore(summary: Summary): TestScore {
  const { task = "classification", metrics, metrics_host_alone: ofAlone, accuracy } = summary;
  const { score: name } = TASK_TRAITS[task];
  if (name === "accuracy") return { name, value: accuracy, alone: summary.accuracy_host_alone };
  const figure = (of: Summary["metrics"]): number | null => {
    const value = of && name in of ? (of as unknown as Record<ScoreName, unknown>)[name] : null;
    return typeof value === "number" ? value : null;
  };
  return { name, value: figure(metrics), alone: figure(ofAlone) };
}

/** A share as a percentage, R² as a number. */
export function formatScore({ name, value }: Score): string {
  return name === "r2" ? value.toFixed(4) : `${(100 * value).toFixed(2)} %`;
}

/** How much better one score is than another of its kind. */
export function formatGain({ name, value }: Score): string {
  const sign = value > 0 ? "+" : value < 0 ? "−" : "±";
  const size = Math.abs(value);
  return name === "r2" ? `${sign}${size.toFixed(4)}` : `${sign}${(100 * size).toFixed(2)} points`;
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
 * How a run came to its end: its last epoch, so many epochs without a better loss, its time, an operator's `emergency halt`, or a signal.
 * One that ended by the last three can be resumed.
 */
export const ENDED = ["finished", "patience", "time_limit", "halted", "interrupted"] as const;

export type Ended = (typeof ENDED)[number];

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
  /** On the test set, 0..1; null where the run was interrupted, or the task has none. */
  readonly accuracy: number | null;
  /** This and the next three are left out in reports of the time before they were written. */
  readonly task?: Evaluation["task"];
  /** On the test set; null where the run was interrupted. */
  readonly loss?: number | null;
  /** On the test set; null where the run was interrupted. */
  readonly metrics?: Evaluation["metrics"] | null;
  /** Null where the host was not also trained alone. */
  readonly metrics_host_alone?: Evaluation["metrics"] | null;
  /** Of two classes: the probability from which the second is said, where it was chosen on the held-out rows. */
  readonly threshold?: number;
  /** Where the network of the epoch with the lowest held-out loss is the run's; left out where the last one is. */
  readonly best?: { readonly step: number; readonly held_out_loss: number };
  readonly params_host: number;
  readonly params_total: number;
  readonly flops_total: number;
  /** What they went into; left out where the run began when it was not counted. */
  readonly flops_by_part?: FlopsByPart;
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
