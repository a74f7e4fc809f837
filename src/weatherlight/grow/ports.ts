/** What a run asks of those around it: its kernels, and whoever controls it from outside. */
import type { CommandOutcome, KernelSource, SystemState, TelemetryMetric } from "../../contracts/index.js";
import type { KernelEvent } from "../../kasmina/index.js";
import type { Candidate } from "../../tamiyo/index.js";

/** Receives what happens to requests, with the metrics as they stand then. Must not throw. */
export type KernelListener = (event: KernelEvent, metrics: readonly TelemetryMetric[]) => void;

/** The kernels of one run. */
export interface RunKernels extends KernelSource {
  /** Times the kernels that the run may well ask for, before it begins; fetching one is then quick. */
  prewarm(candidates: readonly Candidate[], shapes: readonly (readonly number[])[]): Promise<void>;
  /** From now on; one listener at a time. */
  listen?(listener: KernelListener): void;
}

/** What a run reports of itself. */
export interface RunStatus
  extends Pick<
    SystemState,
    "trainingRunId" | "incarnation" | "step" | "epoch" | "epochs" | "seeds" | "slots" | "closedBlueprints"
  > {
  /** The emergency level that is on; null where none is. */
  readonly emergency: string | null;
}

/** What the socket reaches of a run. */
export interface RunControl {
  /** Queues an envelope for the next step boundary; `onOutcome` receives the answer. */
  send(envelope: Uint8Array, onOutcome: (outcome: CommandOutcome) => void): void;
  status(): RunStatus;
}
