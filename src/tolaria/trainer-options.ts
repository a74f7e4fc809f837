/** What a trainer is given, what it reports, and what it leaves in a checkpoint. */
import type { Clock } from "../base/index.js";
import type {
  BatchSource,
  CommandSource,
  EvaluationSource,
  SeedState,
  SystemState,
  Tensors,
} from "../contracts/index.js";
import type { Backend } from "../engine/index.js";
import type { Kasmina, KasminaSnapshot } from "../kasmina/index.js";
import type { EvaluationResult, Topology } from "../network/index.js";
import type { BlueprintRegistry, Host, LossOptions } from "../nn/index.js";
import type { TeacherOptions } from "./distillation.js";
import type { HyperParameters, ScheduleId, Warmup } from "./hyper.js";
import type { Inheritance } from "./inheritance.js";
import type { Optimizer } from "./optimizers.js";
import type { ProgressSnapshot } from "./progress.js";
import type { CheckpointReader, GoodState, RollbackSnapshot } from "./recovery/rollback.js";
import type { GraftCandidate } from "./topologies.js";
import type { TopologyTracer } from "./tracing/tracer.js";

export interface TrainerOptions {
  readonly trainingRunId: string;
  readonly host: Host;
  readonly blueprints: BlueprintRegistry;
  readonly backend: Backend;
  /** Traces new topologies; default: on this thread, between two steps. */
  readonly tracer?: TopologyTracer | undefined;
  readonly kasmina: Kasmina;
  /** What may well be germinated: what that takes is traced beforehand. */
  readonly candidates?: readonly GraftCandidate[];
  /** Drained at every step boundary. */
  readonly commands: CommandSource;
  readonly train: BatchSource;
  /** Rows that nothing learns from; they serve gates and policy. */
  readonly heldOut: EvaluationSource;
  readonly epochs: number;
  readonly optimizer: Optimizer;
  readonly hyper: HyperParameters;
  /** Of all learning rates. Default: a cosine to 0 for the host, while a seed keeps its rate until it is the host's. */
  readonly schedule?: ScheduleId | undefined;
  /** Default 0. */
  readonly warmup?: Warmup | undefined;
  /** Initial parameters follow from it, where none are inherited. */
  readonly seed: number;
  /** Steps between observations; each evaluates the held-out rows. The end of an epoch is one too. */
  readonly observeEverySteps: number;
  readonly hostGradient?: Topology["hostGradient"];
  /** What an example's loss is, to learn from and to judge by. Default: the cross-entropy. */
  readonly loss?: LossOptions | undefined;
  /** Largest norm of the gradient of the host, and of each seed. Default: no limit. */
  readonly clipNorm?: number | undefined;
  /** Memory for what a frozen prefix of the network gives for each row, where a row's place in its batch is not seen to change that. Default 0: nothing is kept. */
  readonly maxFeatureBytes?: number | undefined;
  /**
   * Ends the run after so many epochs in which the held-out loss was not lower than ever before. Epochs at whose end a seed is being
   * tried do not count. Default: never.
   */
  readonly patience?: number | undefined;
  /** Which network is the run's: that of its last step, or of the epoch with the lowest held-out loss. Default `last`. */
  readonly keep?: Keep | undefined;
  /** Ends the run at the first step boundary after so many milliseconds of this process. Default: never. */
  readonly timeLimitMs?: number | undefined;
  /** Left out where the labels alone are learnt from. */
  readonly teacher?: TeacherOptions | undefined;
  readonly clock: Clock;
  /** Ends the run at the next step boundary. */
  readonly signal?: AbortSignal | undefined;
  /** Ends the run there as a signal would. */
  readonly until?: StopPlace | undefined;
  readonly onState?: (state: SystemState) => void;
  /** Receives the loss of every step, by the step's number from 0. */
  readonly onLoss?: ((step: number, loss: number) => void) | undefined;
  /** Steps between reports. */
  readonly reportEverySteps?: number;
  readonly onStep?: ((report: StepReport) => void) | undefined;
  readonly onEpoch?: ((report: EpochReport) => void | Promise<void>) | undefined;
  /** Called at the first step boundary of each epoch, where `checkpointEvery` says, and at the boundary where training ends. */
  readonly onCheckpoint?: (checkpoint: TrainerCheckpoint) => Promise<void>;
  /** Default: at the starts of epochs alone. */
  readonly checkpointEvery?: CheckpointInterval | undefined;
  /** What a rollback to the checkpoint returns to. Default: there is none. */
  readonly readCheckpoint?: CheckpointReader | undefined;
  /** Of the network that this one goes on from; its seeds are Kasmina's from the start. Default: a fresh host. */
  readonly inherits?: Pick<Inheritance, "parameters" | "optimizer"> | undefined;
  /** Goes on from here instead of starting anew. */
  readonly resume?: TrainerCheckpoint | undefined;
}

/** How often a checkpoint is taken within an epoch. It decides when one is written, and nothing that is computed. */
export type CheckpointInterval = { readonly steps: number } | { readonly ms: number };

/** Where a run was stopped, or is to be. */
export interface StopPlace {
  /** Steps done. */
  readonly step: number;
  /**
   * `observation`: before the run was observed after its last step; `kernel`: at the boundary before the next one, waiting
   * for a kernel that was due; `boundary`: there, once what was due had happened.
   */
  readonly at: "observation" | "kernel" | "boundary";
}

export interface StepReport {
  /** Steps done, over all epochs. */
  readonly step: number;
  readonly stepsTotal: number;
  /** From 1. */
  readonly epoch: number;
  readonly loss: number;
  readonly seeds: readonly SeedState[];
}

export interface EpochReport {
  /** From 1. */
  readonly epoch: number;
  /** Mean over the epoch's steps. */
  readonly trainLoss: number;
  readonly heldOut: EvaluationResult;
}

/** How training came to its end. */
export type TrainingEnd = "finished" | "patience" | "time_limit" | "aborted" | "halted";

export interface TrainingResult {
  readonly end: TrainingEnd;
  /** Steps done. */
  readonly steps: number;
  readonly paramsHost: number;
  readonly paramsTotal: number;
  /** Everything that was computed: steps, shadow passes, evaluations, culled seeds included. */
  readonly flopsTotal: number;
}

export const KEEPS = ["last", "best"] as const;
export type Keep = (typeof KEEPS)[number];

/** The network of the epoch with the lowest held-out loss so far, to be used, not to be trained on. */
export interface BestNetwork {
  /** Steps done. */
  readonly step: number;
  readonly heldOutLoss: number;
  /** Parameters by path, without optimizer state. */
  readonly tensors: Tensors;
  readonly kasmina: KasminaSnapshot;
}

/** All that a trainer needs to go on from a step as if it had never stopped. */
export interface TrainerCheckpoint extends GoodState, ProgressSnapshot, RollbackSnapshot {
  /** From 0. */
  readonly epoch: number;
  /** Whether it was taken at the first boundary of an epoch, not where the run was stopped within one. */
  readonly atEpochStart: boolean;
  /** What the watch for spikes remembers. */
  readonly watchedLosses: readonly number[];
  /** Whether there is a teacher still. */
  readonly taught: boolean;
  /** Whether the state is to be kept for a rollback, once isolation has been looked at. */
  readonly keepDue: boolean;
  /** Where the best network is to be kept, from the end of the first epoch on. */
  readonly bestNetwork?: BestNetwork | undefined;
}
