/**
 * The ports at which the parts meet (docs/architecture.md, "Rooms"). Kasmina, Tolaria and Tamiyo know the outer world by these
 * interfaces alone; Weatherlight plugs in what is behind them.
 */
import type { OutcomeStatus, Stage } from "./names.js";
import type { TelemetryPacket } from "./telemetry.js";
import type { Tensors } from "./tensor.js";

/** One signed command as the bus delivered it. */
export interface CommandDelivery {
  /** A serialized SignedEnvelope; nothing about it is trusted. */
  readonly envelope: Uint8Array;
  /** The bus's id of the message: the same when the same message is delivered again. */
  readonly busEntry: string;
  /** Called once the outcome is journaled, or the envelope rejected for good. Never throws. */
  acknowledge(outcome: CommandOutcome): void;
}

/** Where commands come from. The trainer drains it at step boundaries. */
export interface CommandSource {
  /** What has arrived and was not drained yet, oldest first. Never throws, never waits. */
  drain(): CommandDelivery[];
}

/** The answer to one command. */
export interface CommandOutcome {
  readonly status: OutcomeStatus;
  /** Why, from a closed set; "" where applied. A duplicate carries the first outcome's reason. */
  readonly reason: string;
  readonly commandId?: string;
  /** The step from which on it holds. */
  readonly effectiveStep?: number;
  readonly seedId?: string;
  /** One line for people. */
  readonly message?: string;
}

/** Where telemetry goes. */
export interface TelemetrySink {
  /** Takes a packet at once and never throws into the step, whatever becomes of the packet. */
  emit(packet: TelemetryPacket): void;
}

/** Where a kernel is to live. */
export interface KernelSlot {
  readonly id: string;
  /** Shape of the activation without the batch dimension. */
  readonly shape: readonly number[];
  /** Blocks of the host below the slot. */
  readonly depth: number;
}

export interface KernelRequest {
  readonly requestId: string;
  readonly blueprintId: string;
  readonly parameters: Readonly<Record<string, number>>;
  /** Never blank: a request without it is refused with a DependencyViolationError. */
  readonly trainingRunId: string;
  readonly seedId: string;
  readonly slot: KernelSlot;
  readonly issuedAtMs: number;
  /** The one artifact wanted, 64 hex digits; left out: any of the blueprint. */
  readonly artifactSha256?: string;
  /** Where the kernel has to be built: the random seed its initial weights are drawn with, 0 to 2^32 − 1. Default 0. */
  readonly initSeed?: number;
}

/** A verified artifact, in memory. */
export interface Kernel {
  readonly blueprintId: string;
  readonly parameters: Readonly<Record<string, number>>;
  /** Over manifest and weights, 64 hex digits. */
  readonly sha256: string;
  /** `delta`: the seed's output is h + k; `replacement`: it is k. */
  readonly form: "delta" | "replacement";
  /** Weights by name relative to the seed, such as `up/w`. */
  readonly tensors: Tensors;
  readonly prewarmP50Ms: number;
  readonly prewarmP95Ms: number;
  /** Whether whoever built or sent it had to fall back; such a kernel fails its gate. */
  readonly fallbackUsed: boolean;
}

/** Where kernels come from. */
export interface KernelSource {
  /**
   * Settles in the end, whatever happens: what comes from elsewhere within a deadline of the source's own, what this
   * process builds itself when it is built, and at once when `signal` gives the request up.
   * Rejects with a DependencyViolationError when the kernel cannot be had, `details.reason` `timeout` after the deadline.
   */
  fetch(request: KernelRequest, signal: AbortSignal): Promise<Kernel>;
  /** Drops every cached kernel; left out where none is cached. Never throws. */
  forget?(): void;
}

/** A measured value and the standard error of it. */
export interface Estimate {
  readonly value: number;
  readonly stdErr: number;
}

export interface SeedState {
  readonly id: string;
  readonly slotId: string;
  readonly blueprintId: string;
  readonly stage: Stage;
  /** The stage that a paused seed was in; left out where it is not paused. */
  readonly pausedFrom?: Stage;
  readonly alpha: number;
  /** Whether alpha has arrived at its target. */
  readonly rampDone: boolean;
  /** Where a change is planned: what, and from which step on. */
  readonly pending?: { readonly change: string; readonly effectiveStep: number };
  /** Held-out host loss − held-out shadow loss. */
  readonly shadowGain?: Estimate;
  /** Held-out loss with this seed's alpha forced to 0 − held-out loss as it is. */
  readonly contribution?: Estimate;
  readonly parameters: number;
}

export interface SlotState extends KernelSlot {
  /** Living seeds, in germination order. */
  readonly seedIds: readonly string[];
  /** The step from which on the slot is open again; left out where it is open. */
  readonly closedUntilStep?: number;
}

/** What the policy sees, each epoch and each N steps. */
export interface SystemState {
  readonly trainingRunId: string;
  /** The life of the run, which commands in answer name: another after each start and each reset. */
  readonly incarnation?: string;
  readonly step: number;
  readonly epoch: number;
  readonly epochs: number;
  readonly trainLoss: number;
  /** On the held-out split that serves gates and policy. */
  readonly heldOutLoss?: Estimate;
  /** Of classes and tokens, 0..1; a task of another kind has one of the next two instead. */
  readonly heldOutAccuracy?: number;
  /** Of a regression. */
  readonly heldOutR2?: number;
  /** Of several labels a row, 0..1. */
  readonly heldOutMicroF1?: number;
  readonly seeds: readonly SeedState[];
  readonly slots: readonly SlotState[];
  /** Blueprints under embargo, with the step from which on they are open again. */
  readonly closedBlueprints: Readonly<Record<string, number>>;
  /** Breakers that let nothing through, by name; left out where nobody looked. */
  readonly openBreakers?: readonly string[];
  readonly paramsHost: number;
  readonly paramsTotal: number;
  readonly flopsPerStep: number;
  readonly flopsTotal: number;
}

/** What the trainer installed, as read off the traced program. */
export interface InstalledTopology {
  /** Shape of the activation at every slot of the program, without the batch axis. */
  readonly slots: Readonly<Record<string, readonly number[]>>;
  /** Shape of every seed's output in the program, without the batch axis, and the slot it is in. */
  readonly seeds: Readonly<
    Record<string, { readonly slotId: string; readonly outputShape: readonly number[] }>
  >;
}
