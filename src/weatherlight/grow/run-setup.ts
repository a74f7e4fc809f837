/** What a run is handed: the parts of a run, and who listens to it. */

import type { Clock } from "../../base/index.js";
import type {
  AnyDataset,
  BatchSource,
  CommandSource,
  Dataset,
  KeyRing,
  SystemState,
  TelemetryEvent,
  TelemetryPacket,
} from "../../contracts/index.js";
import type { Augmentation } from "../../data/augment.js";
import type { BatchOptions, ShuffledBatches } from "../../data/batches.js";
import type { Backend } from "../../engine/index.js";
import type { CommandJournal, KasminaConfig } from "../../kasmina/index.js";
import type { Topology } from "../../network/index.js";
import type { BlueprintRegistry, Host, LossOptions } from "../../nn/index.js";
import type { Decision, PlateauPolicy, Policy } from "../../tamiyo/index.js";
import type {
  CheckpointInterval,
  CheckpointReader,
  EpochReport,
  HyperParameters,
  Inheritance,
  Keep,
  OptimizerId,
  ScheduleId,
  StepReport,
  StopPlace,
  TeacherOptions,
  TopologyTracer,
  Warmup,
} from "../../tolaria/index.js";
import type { Mutex } from "./mutex.js";
import type { RunControl, RunKernels } from "./ports.js";
import type { RunCheckpoint } from "./run-outcome.js";

export interface RunSetup {
  readonly runId: string;
  readonly host: Host;
  readonly dataset: AnyDataset;
  readonly backend: Backend;
  /** Traces new topologies in parallel with training; default: on this thread, between two steps. */
  readonly tracer?: TopologyTracer;
  readonly epochs: number;
  /** Rows a step. */
  readonly batch: number;
  readonly optimizer?: OptimizerId;
  /** What is left out is the optimizer's default. */
  readonly hyper?: Partial<HyperParameters>;
  /** Of the learning rates of host and seeds alike. Default: a cosine to 0 for the host alone. */
  readonly schedule?: ScheduleId;
  readonly warmup?: Warmup;
  /** Whether the host below a BLENDING seed waits (`detach`, the default) or goes on learning (`flow`). */
  readonly hostGradient?: Topology["hostGradient"];
  /** What an example's loss is, to learn from and to judge by. Default: the cross-entropy. */
  readonly loss?: LossOptions;
  /** Largest norm of the gradient of the host, and of each seed. Default: no limit. */
  readonly clipNorm?: number;
  /** Memory for what a frozen prefix gives for each row, in MiB. Default 0, nothing is kept. */
  readonly featureCache?: number;
  /** Epochs without a lower held-out loss after which the run ends; those in which a seed is tried do not count. Default: none. */
  readonly patience?: number;
  /** Whether the run's network is that of its last step, or of the epoch with the lowest held-out loss. Default `last`. */
  readonly keep?: Keep;
  /** Milliseconds of this process after which the run ends at a step boundary. Default: none. */
  readonly timeLimitMs?: number;
  /** A frozen network to learn from, besides the labels. Default: none. */
  readonly teacher?: TeacherOptions;
  /** Everything random follows from it. Default 0. */
  readonly seed?: number;
  /** What the run begins with of another's network. Default: a fresh host. */
  readonly inherits?: Inheritance;
  /** Default: {@link PlateauPolicy} over every blueprint that fits; null trains the host alone. */
  readonly policy?: Policy | null;
  readonly blueprints?: BlueprintRegistry;
  readonly config?: KasminaConfig;
  /** How images are changed while they are learned from. Default: not at all. */
  readonly augment?: readonly Augmentation[];
  /** Training batches. Default: {@link ShuffledBatches}. */
  readonly batches?: (dataset: Dataset, options: BatchOptions) => BatchSource;
  /** Commands besides those of the policy and of `onControl`. Default: none. */
  readonly commands?: CommandSource;
  /** Where kernels come from. Default: built in this thread, without a catalog. */
  readonly kernels?: RunKernels;
  /** By which programs of the training thread take turns, where those kernels run some there. Default: one of the run's own. */
  readonly mutex?: Mutex;
  /** Inputs of the policy that are missing now, besides what the state lacks, such as a policy that decides elsewhere. */
  readonly absentInputs?: () => readonly string[];
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
  /** Ends the run there as the signal would. */
  readonly until?: StopPlace;
  /** Commands are signed and verified with these. Default: one key of the run's own, known to nobody else. */
  readonly keys?: KeyRing;
  /** Default: in memory. */
  readonly journal?: CommandJournal;
  /** Does every command of `journal` again, at the steps at which it was accepted. Default false. */
  readonly replay?: boolean;
  /** Receives, before the first step, how others than the policy reach this run. */
  readonly onControl?: (control: RunControl) => void;
  /** Receives the loss of every step, by the step's number from 0. */
  readonly onLoss?: (step: number, loss: number) => void;
  /** Steps between reports. Default: 20 an epoch. */
  readonly reportEverySteps?: number;
  readonly onStep?: (report: StepReport) => void;
  readonly onEpoch?: (report: EpochReport) => void | Promise<void>;
  /** Every event, with the packet it came in: that names the seed and the step. */
  readonly onEvent?: (event: TelemetryEvent, packet: TelemetryPacket) => void;
  /** At the start of each epoch, where `checkpointEvery` says, and where the run ends. */
  readonly onCheckpoint?: (checkpoint: RunCheckpoint) => Promise<void>;
  /** How often a checkpoint is taken within an epoch. Default: not at all. */
  readonly checkpointEvery?: CheckpointInterval;
  /** What a rollback to the checkpoint returns to. Default: nothing. */
  readonly readCheckpoint?: CheckpointReader;
  /** Goes on from a checkpoint of the same run, which then ends as if it had never stopped. */
  readonly resume?: RunCheckpoint;
  readonly onPacket?: (packet: TelemetryPacket) => void;
  /** Every observation, before the policy sees it. */
  readonly onObservation?: (state: SystemState) => void;
  /** Every decision of the policy, with what it saw. */
  readonly onDecision?: (decision: Decision, state: SystemState) => void;
}
