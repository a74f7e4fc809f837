/** What the thread of a trainer and the one that started it say to each other. */
import type { MessagePort } from "node:worker_threads";
import type { PostedError } from "../../base/index.js";
import type { GrowthLine, Summary } from "../folder/growth-lines.js";
import type { RunRecordLine } from "../folder/run-records.js";
import type { SeriesUpdate } from "../telemetry/metric-series.js";

/** To the trainer. */
export interface StopMessage {
  readonly kind: "stop";
}

/** From the trainer; nothing follows `done` or `failed`. */
export type TrainerMessage =
  | { readonly kind: "line"; readonly line: GrowthLine }
  | { readonly kind: "record"; readonly line: RunRecordLine }
  | { readonly kind: "series"; readonly update: SeriesUpdate }
  | { readonly kind: "done"; readonly summary: Summary }
  | { readonly kind: "failed"; readonly error: PostedError };

/** What the trainer's thread is started with. */
export interface TrainerStart {
  readonly options: unknown;
  /** URL of the module that exports `grow`. */
  readonly runner: string;
  /** Where the run is on a bus: the way to it. */
  readonly bus?: MessagePort;
  /** Where it asks the catalog service: the way to that. */
  readonly catalogPort?: MessagePort;
  /** Whether it reports its series. */
  readonly series: boolean;
  /** Whether it posts what it measures and decides. */
  readonly records: boolean;
}
