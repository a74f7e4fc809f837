/** What a run and the thread of its kernels say to each other. */
import type { PostedError } from "../../base/index.js";
import type { Kernel, KernelRequest, TelemetryMetric } from "../../contracts/index.js";
import type { EngineChoice } from "../../engine/index.js";
import type { KasminaConfig, KernelEvent } from "../../kasmina/index.js";
import type { Candidate } from "../../tamiyo/index.js";

/** What the thread is started with: plain data. */
export interface KernelThreadStart {
  readonly trainingRunId: string;
  readonly seed: number;
  readonly catalogDir?: string;
  readonly engine: EngineChoice;
  readonly threads?: number;
  readonly batch: number;
  readonly config: KasminaConfig;
  /** For measurements: how long every kernel is held back. */
  readonly holdMs?: number;
}

/** To the thread. Those with an id are answered. */
export type KernelThreadRequest =
  | { readonly kind: "fetch"; readonly id: number; readonly request: KernelRequest }
  /** Gives a fetch up; `timedOut`: because the run's own time for it is over. */
  | { readonly kind: "cancel"; readonly id: number; readonly timedOut: boolean }
  | {
      readonly kind: "prewarm";
      readonly id: number;
      readonly candidates: readonly Candidate[];
      readonly shapes: readonly (readonly number[])[];
    }
  | { readonly kind: "forget" }
  | { readonly kind: "close"; readonly id: number };

/** From the thread; `ready` comes first. */
export type KernelThreadMessage =
  | { readonly kind: "ready" }
  | { readonly kind: "failed_to_start"; readonly error: PostedError }
  | { readonly kind: "done"; readonly id: number; readonly kernel?: Kernel }
  | { readonly kind: "failed"; readonly id: number; readonly error: PostedError }
  | { readonly kind: "event"; readonly event: KernelEvent; readonly metrics: readonly TelemetryMetric[] };
