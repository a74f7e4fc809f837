/** What the thread of the trainer and the thread that started it say to each other. */
import type { PostedError } from "../../base/index.js";
import type { GrowthLine, Summary } from "../folder/growth-lines.js";

/** To the trainer. */
export interface StopMessage {
  readonly kind: "stop";
}

/** From the trainer; nothing follows `done` or `failed`. */
export type TrainerMessage =
  | { readonly kind: "line"; readonly line: GrowthLine }
  | { readonly kind: "done"; readonly summary: Summary }
  | { readonly kind: "failed"; readonly error: PostedError };

/** What the trainer's thread is started with. */
export interface TrainerStart {
  readonly options: unknown;
  /** URL of the module that exports `grow`. */
  readonly runner: string;
}
