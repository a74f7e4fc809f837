/** What `grow()` takes, and what it reports while a run goes on. */
import type { Clock } from "../../base/index.js";
import type {
  AttributeValue,
  BatchSource,
  CommandSource,
  Dataset,
  KeyRing,
  Stage,
  SystemState,
  TaskId,
  TelemetryLevel,
  TelemetryPacket,
} from "../../contracts/index.js";
import type { DatasetArrays } from "../../data/arrays.js";
import type { Augmentation } from "../../data/augment.js";
import type { BatchOptions } from "../../data/batches.js";
import type { Backend, EngineChoice } from "../../engine/index.js";
import type { KasminaConfigInput } from "../../kasmina/index.js";
import type { ThresholdAim } from "../../network/index.js";
import type { Blueprint, Host } from "../../nn/index.js";
import type { Amount, Decision, Policy } from "../../tamiyo/index.js";
import type { Keep, OptimizerId, ScheduleId, TopologyTracer, Warmup } from "../../tolaria/index.js";
import type { RunControl, RunKernels } from "../grow/ports.js";

/**
 * Which training a report is about: the growing host, or the same host trained alone for `compare`.
 *
 * @example
 * ```ts
 * import type { GrowPhase } from "kasmina";
 *
 * const titleOf = (phase: GrowPhase) => (phase === "grow" ? "grown" : "host alone");
 * ```
 */
export type GrowPhase = "grow" | "hostAlone";

/**
 * Every few steps, at the same steps whatever the speed.
 *
 * @example
 * ```ts
 * import { grow, type StepReport } from "kasmina";
 *
 * const show = ({ step, stepsTotal, loss }: StepReport) => console.log(`step ${step} of ${stepsTotal}: ${loss}`);
 * await grow({ data: "spirals", onStep: show });
 * ```
 */
export interface StepReport {
  readonly phase: GrowPhase;
  /** Steps done, over all epochs. */
  readonly step: number;
  readonly stepsTotal: number;
  /** From 1. */
  readonly epoch: number;
  /** Of the step's batch. */
  readonly loss: number;
  readonly seeds: readonly { readonly id: string; readonly stage: Stage; readonly alpha: number }[];
}

/**
 * At the end of each epoch.
 *
 * @example
 * ```ts
 * import { grow, type EpochReport } from "kasmina";
 *
 * const show = ({ epoch, valAccuracy }: EpochReport) => console.log(`epoch ${epoch}: ${valAccuracy}`);
 * await grow({ data: "spirals", onEpoch: show });
 * ```
 */
export interface EpochReport {
  readonly phase: GrowPhase;
  /** From 1. */
  readonly epoch: number;
  /** Mean over the epoch's steps, in nats; of a regression the squared error, targets in units of their deviation. */
  readonly trainLoss: number;
  /** On the held-out rows. */
  readonly valLoss: number;
  /** On the held-out rows, 0..1; NaN where the task has none. */
  readonly valAccuracy: number;
  /** The figure by which the task is followed, on the held-out rows: `accuracy`, `r2` of a regression, `micro_f1` of several labels. */
  readonly valScore: { readonly name: "accuracy" | "r2" | "micro_f1"; readonly value: number };
}

/**
 * A telemetry event: a seed's change of stage, a gate's failure, a rejected command.
 *
 * @example
 * ```ts
 * import { grow, type EventReport } from "kasmina";
 *
 * const show = ({ step, name }: EventReport) => console.log(`${step}: ${name}`);
 * await grow({ data: "spirals", onEvent: show });
 * ```
 */
export interface EventReport {
  readonly phase: GrowPhase;
  /** Such as `seed_stage`, `gate_failure`, `command_rejected`; docs/operations.md lists them. */
  readonly name: string;
  readonly level: TelemetryLevel;
  /** Left out where the event is of the whole run. */
  readonly seedId?: string;
  readonly step: number;
  /** By the names that telemetry gives them: `from`, `to`, `reason`, `training_run_id`. */
  readonly attributes: Readonly<Record<string, AttributeValue>>;
}

/** Who listens to a run. What a callback throws ends the run, and `grow()` rejects with it. */
export interface GrowCallbacks {
  readonly onStep?: (report: StepReport) => void;
  /** Awaited before the next epoch begins. */
  readonly onEpoch?: (report: EpochReport) => void | Promise<void>;
  readonly onEvent?: (report: EventReport) => void;
  /** One line for people: which engine and why, what is traced on the training thread. `always`: shown with `--quiet` too. */
  readonly onNotice?: (text: string, always?: boolean) => void;
  /** Every decision of the policy, with what it saw. */
  readonly onDecision?: (decision: Decision, state: SystemState) => void;
  /** Every observation of the growing run, before the policy sees it. */
  readonly onObservation?: (state: SystemState) => void;
  /** Every telemetry packet of the growing run. */
  readonly onPacket?: (packet: TelemetryPacket) => void;
  /** Before the first step: how others than the policy reach this run. */
  readonly onControl?: (control: RunControl) => void;
}

/** Parts of a run that its caller brings. They are not kept with the run: a resumed one is given them again. */
export interface GrowParts {
  /** Traces new topologies. Default: a process of its own on the native engine, where it can load the host; else this thread. */
  readonly tracer?: TopologyTracer;
  /** Where kernels come from; the caller's to close. */
  readonly kernels?: RunKernels;
  /** Node's MessagePort at which the thread of the bus answers for the catalog service; `kasmina grow --oona` gives it. */
  readonly catalogPort?: { postMessage(value: unknown): void };
  /** Training batches over the data. Default: shuffled each epoch. */
  readonly batches?: (dataset: Dataset, options: BatchOptions) => BatchSource;
  /** Signed commands besides those of the policy and of the control socket. */
  readonly commands?: CommandSource;
  /** Commands are signed and verified with these. Default: the keys of the run folder, else keys of the run's own. */
  readonly keys?: KeyRing;
  /** Inputs of the policy that are missing now, besides what the state lacks; reported by `degraded_inputs`. Default: none. */
  readonly absentInputs?: () => readonly string[];
  readonly clock?: Clock;
  /** Ends the run at the next step, with its checkpoint written; the result says `ended: "interrupted"`. */
  readonly signal?: AbortSignal;
}

/**
 * Options of {@link grow}. All but `data` may be left out; a resumed run takes its options from its folder.
 *
 * Files, folders and `module:` need Node.
 *
 * @example
 * ```ts
 * import type { GrowOptions } from "kasmina";
 *
 * const options: GrowOptions = { data: "csv:iris.csv?label=species", epochs: 30, runDir: "runs/iris" };
 * ```
 */
export interface GrowOptions extends GrowCallbacks, GrowParts {
  /** A `Dataset`, own arrays, or a name: `mnist`, `idx:<dir>`, `csv:<file>?label=<column>` (`?target=` for numbers), `text:<file>`, `spirals`. */
  readonly data?: Dataset | DatasetArrays | string;
  /**
   * `classification`, `next-token`, `regression` or `multilabel`. Default: what the data say, own arrays by their `task`, a table by
   * `?label=`, `?target=` or `?labels=`; of a table it overrides what the column that `?label=` names is taken for.
   */
  readonly task?: TaskId;
  /**
   * A host of one's own (`defineHost`), `resmlp`, `resconv`, `charlm`, `onnx:<file>`, or `module:<file>#<export>`: a host, or a function
   * that makes one from `{ inputShape, inputDType, classes }`. Default: what suits the data.
   */
  readonly host?: Host | string;
  /**
   * What this run goes on from: the folder of a run, whose network, grown or not, becomes the host with all its weights, or an ONNX
   * file, as `host: "onnx:<file>"` with its head kept and all of it learning. Data, host and blueprints that are left out are the other run's.
   */
  readonly from?: string;
  /** Whether the optimizer state of the run that `from` names is kept too. Default false: it begins anew. */
  readonly keepOptimizer?: boolean;
  /**
   * Of a host from an ONNX file: `keep` its head, put a `new` one for the data's classes, or `auto`, which keeps it where its
   * outputs are as many. Default `auto`.
   */
  readonly head?: "auto" | "keep" | "new";
  /** What of an ONNX file learns, besides seeds and a new head: nothing (`seeds`), a kept `head`, or `all`. Default `seeds`. */
  readonly train?: "seeds" | "head" | "all";
  /** What may be grafted: blueprints, ids of built-in ones, `module:<file>#<export>`. Default: the built-in ones. */
  readonly blueprints?: readonly (Blueprint | string)[];
  /** The one blueprint that seeds are made of, by id or `module:<file>#<export>`. Default `auto`: those that suit the slots. */
  readonly blueprint?: string;
  /** Names the run in telemetry and files. Default: `run-<UUID>`. */
  readonly runId?: string;
  /** Folder for the run's files: it can then be resumed, replayed, commanded and reported. Default: no files. */
  readonly runDir?: string;
  /** Whether the group may read the run's files, keys and journal aside. Default: owner only. */
  readonly share?: boolean;
  /** Folder of a run that stopped, which goes on from its last checkpoint, with the options that it began with. */
  readonly resume?: string;
  /** Whether the run is taken over as a new one: for one that came from elsewhere, or is of an older format. Default false. */
  readonly adopt?: boolean;
  /** `auto` takes native where it loads and else wasm; `webgpu` is for a browser; a back end of one's own stays the caller's to dispose. Default `auto`. */
  readonly engine?: EngineChoice | Backend;
  /** Threads of the native engine, 1..256. Default: one a physical core. */
  readonly threads?: number;
  /** Passes over the training rows, 1..100000. Default: 6 for mnist, 16 for spirals, 1 for text, else 20. */
  readonly epochs?: number;
  /** Rows a step, 1..1000000. Default: 128 for mnist, 50 for spirals, 16 for text, else 32, or all rows where they are fewer. */
  readonly batch?: number;
  /** Learning rate, greater than 0. Default: the optimizer's. */
  readonly lr?: number;
  /**
   * How the learning rates of host and seeds go over the run: `constant`, or to 0 by a `cosine` or a line (`linear`). Default: the
   * host's by a cosine, while a seed keeps its own until it is the host's.
   */
  readonly schedule?: ScheduleId;
  /** Steps over which the rates of the schedule rise from near 0 at the start: a number, or a percentage (`"5%"`). Default 0. */
  readonly warmup?: Warmup;
  /** Weight decay, 0..1: with `adamw` apart from the gradient, else added to it. Default: the optimizer's, 0.01 for `adamw`, else 0. */
  readonly weightDecay?: number;
  /**
   * Largest Euclidean norm of a step's gradient, greater than 0: that of the host's parameters and that of each seed's, each for itself.
   * What is longer is shortened to it before the update. Default: no limit.
   */
  readonly clipNorm?: number;
  /**
   * Ends the run after so many epochs, 1..100000, in which the held-out loss was not lower than ever before; epochs at whose end a seed
   * is being tried do not count. The result says `ended: "patience"`. Default: all epochs are done.
   */
  readonly patience?: number;
  /**
   * Which network is the run's, to be evaluated, exported, predicted with and gone on from: that of its last step (`last`), or that of the
   * epoch at whose end the held-out loss was lowest (`best`). Training goes on from the last one either way. Default `last`.
   */
  readonly keep?: Keep;
  /**
   * Of two classes: chooses the probability from which the second class is said, so that on the held-out rows the balanced accuracy, or the
   * F1 of the second class, is highest. It is the run's: in its figures, in predictions and in exports. Default: the likelier class is said.
   */
  readonly threshold?: ThresholdAim;
  /**
   * Ends the run at the first step boundary after this time (`"60s"`, `"10m"`, `"2h"`), its checkpoint written; the result says
   * `ended: "time_limit"`. A resumed run has the same time again, or another that it is given. Default: no limit.
   */
  readonly timeLimit?: string;
  /** What people call the run, 1 to 100 characters in one line. Default: nothing. */
  readonly name?: string;
  /** What people find it by, each 1 to 100 characters in one line. Default: none. */
  readonly tags?: readonly string[];
  /** Default `adam`. */
  readonly optimizer?: OptimizerId;
  /** Everything random follows from it, 0..4294967295. Default 0. */
  readonly seed?: number;
  /** false: the host alone, without a seed. Default true. */
  readonly growth?: boolean;
  /** When to germinate: `plateau`, `epoch:<n>`, `schedule`, `random`, or a policy of one's own. Default `plateau`. */
  readonly policy?: Policy | string;
  /** Slots that may be grown in. Default: all of the host. */
  readonly slots?: readonly string[];
  /** Scalars that seeds may add: a number, or a percentage of the host's (`"50%"`). Default: no limit. */
  readonly budgetParams?: Amount;
  /** FLOPs that growth may add to those of the host alone over the run: a number, or a percentage. Default: no limit. */
  readonly budgetFlops?: Amount;
  /** Milliseconds that a forward pass of a kernel may take, 1..1000000. Default 10. */
  readonly latencyBudget?: number;
  /** Largest share of a training step's FLOPs that a seed may take, 0..1. Default: no limit. */
  readonly stepShareBudget?: number;
  /** Limits of the control plane (docs/commands.md); what is left out is the default. */
  readonly limits?: KasminaConfigInput;
  /** Whether the host below a BLENDING seed waits (`detach`, the default) or goes on learning (`flow`). */
  readonly hostGradient?: "detach" | "flow";
  /**
   * `balanced`: an example's loss is weighted by how rare its class is among the training rows, so that each class counts for as much, in
   * what is learned from and in what gates and policy judge by. Default: every example counts alike.
   */
  readonly classWeights?: "balanced" | undefined;
  /**
   * How images are changed while they are learned from, each time anew: `flip` (left to right), `crop` (to 80 to 100 % of their sides,
   * and scaled back), `shift` (by up to an eighth). What is evaluated is never changed. Default: none.
   */
  readonly augment?: readonly Augmentation[] | undefined;
  /** Part of a label that is shared by all classes alike while it is learned from, 0 to 0.9. Default 0. */
  readonly labelSmoothing?: number | undefined;
  /**
   * Of a regression: errors beyond so many standard deviations of the target count by their size and no more by its square (Huber's
   * loss), greater than 0. Default: all by the square.
   */
  readonly huberDelta?: number | undefined;
  /** Folder of a run whose network is learnt from, besides the labels. */
  readonly teacher?: string;
  /** Part of the teacher in the loss, 0..1. Default 0.3. */
  readonly distillWeight?: number;
  /** Softmax temperature at which teacher and learner are compared, 0.1..100. Default 4. */
  readonly distillTemperature?: number;
  /** Also trains the same host alone, for the same number of epochs. Default false. */
  readonly compare?: boolean;
  /** Folder of the kernel catalog. Default: `catalog` in the run's folder. */
  readonly catalog?: string;
  /**
   * Asks the catalog service of the bus for kernels, which writes them to the folder `catalog`, and builds none. Default false.
   * Needs a run on a bus (`kasmina grow --oona`).
   */
  readonly catalogService?: boolean;
  /**
   * How often a checkpoint is written within an epoch: a time (`"60s"`, `"5m"`, `"1h"`) or steps (`"500steps"`); one is written at
   * the start of each epoch anyway. Nothing that is computed depends on it. A resumed run may be given another. Default `"60s"`.
   */
  readonly checkpointEvery?: string;
  /**
   * Memory in MiB, 0..1000000, in which a run keeps what the frozen blocks below the first seed give for each training and held-out row,
   * so that later steps begin there; where they do not fit, images are augmented, or a row's place in its batch is seen to change the last
   * bits, nothing is kept. That is seen on the first batch, which is no proof for the others: docs/own-model.md says for which operators
   * it matters. A resumed run may be given another. Default 0.
   */
  readonly featureCache?: number;
  /** Steps between reports to `onStep`. Default: 20 reports an epoch. */
  readonly reportEverySteps?: number;
}
