export {
  type BlendConfig,
  type BlendSchedule,
  DEFAULT_BLEND,
} from "./blend.js";
export {
  type BlueprintCatalog,
  type BlueprintDescription,
  type BlueprintParameters,
  countKernelParameters,
  type ParameterBounds,
  resolveParameters,
} from "./blueprint.js";
export { CommandSigner, type CommandSignerOptions } from "./command-signer.js";
export type { CommandDecision, CommandDraft, Order } from "./commands.js";
export {
  type AnyDataset,
  type AnyInputs,
  type AnyRows,
  type Batch,
  type BatchSource,
  type Dataset,
  type EvaluationBatch,
  type EvaluationSource,
  InputParts,
  isInMemory,
  isStored,
  type Rows,
  type StoredInputs,
  taskOf,
} from "./dataset.js";
export {
  COMMAND_CONTEXT,
  decodeEnvelope,
  signatureProblem,
  signEnvelope,
  signingInput,
} from "./envelope.js";
export { FLOPS_PARTS, type FlopsByPart, type FlopsPart, NO_FLOPS, totalFlops } from "./flops.js";
export {
  type IsolationFailure,
  type IsolationLimits,
  type IsolationReading,
  type IsolationTally,
  violationOf,
} from "./isolation.js";
export {
  decodeKernelError,
  decodeKernelReady,
  decodeKernelRequest,
  encodeKernelError,
  encodeKernelReady,
  encodeKernelRequest,
  type KernelError,
  type KernelReady,
} from "./kernel-messages.js";
export { type Key, KeyRing } from "./key-ring.js";
export type { Mac, MacFactory } from "./mac.js";
export type {
  Message,
  MessageHandler,
  MessageLane,
  MessagePort,
  PublishOptions,
  SubscribeOptions,
  Subscription,
} from "./messages.js";
export {
  ADVANCING_OPERATIONS,
  type AdvancingOperation,
  type BlendCurve,
  type BlendMode,
  type BreakerName,
  type CommandKind,
  type EmergencyLevel,
  GATES,
  type Gate,
  type Operation,
  type OutcomeStatus,
  type Priority,
  type ResetScope,
  type RollbackSource,
  STAGES,
  type Stage,
  type TelemetryLevel,
  type TelemetryRoute,
} from "./names.js";
export type {
  CommandDelivery,
  CommandOutcome,
  CommandSource,
  Estimate,
  InstalledTopology,
  Kernel,
  KernelRequest,
  KernelSlot,
  KernelSource,
  SeedState,
  SlotState,
  SystemState,
  TelemetrySink,
} from "./ports.js";
export { KEY_ROLES, type KeyRole, mayOrder, maySignArtifacts } from "./roles.js";
export {
  decodeSafetensors,
  encodeSafetensors,
  type SafetensorsContent,
  type SafetensorsLimits,
} from "./safetensors.js";
export { type SealContext, Sealer } from "./seal.js";
export { type RefusedMessage, SignedMessages, type SignedMessagesOptions } from "./signed-messages.js";
export {
  ADVANCES,
  type Advance,
  advanceFrom,
  GROWTH_PATH,
  holdsParameters,
  isBlended,
  isGrowing,
  isInOutput,
  isInShadow,
  isLiving,
  isRemoved,
  partOf,
  type SeedPart,
} from "./stages.js";
export { decodeState, encodeState } from "./state-message.js";
export {
  blockModule,
  countPath,
  groupOf,
  grownModule,
  HOST_ROOT,
  HYPER_NAMES,
  hostWeightControl,
  hyperControl,
  isHostState,
  isHyperControlOf,
  isInModule,
  moduleOf,
  parameterOf,
  parameterPath,
  placeOf,
  SEED_ROOT,
  seedModule,
  seedOf,
  seedWeightControl,
  slotPath,
  TEACHER_ROOT,
} from "./state-paths.js";
export {
  ARTIFACT_CONTEXT,
  type EnvelopeContext,
  RUN_GROUP,
  RUN_STREAMS,
  runTopic,
  STREAMS,
  type Stream,
  sharedTopic,
  streamOf,
} from "./streams.js";
export {
  LABEL_SEPARATOR,
  SCORE_TITLES,
  type Score,
  type ScoreName,
  STATE_SCORES,
  TASK_IDS,
  TASK_TRAITS,
  type TargetScaling,
  type TaskId,
  type TaskTraits,
} from "./tasks.js";
export {
  type Attributes,
  type AttributeValue,
  EVENT_NAMES,
  type EventName,
  LEVELS,
  METRIC_NAMES,
  type MetricName,
  severityOf,
  type TelemetryEvent,
  type TelemetryMetric,
  type TelemetryPacket,
} from "./telemetry.js";
export {
  decodeOutcome,
  decodeTelemetry,
  encodeOutcome,
  encodeTelemetry,
  type RunOutcome,
} from "./telemetry-message.js";
export {
  type DType,
  float32,
  formatSpec,
  int32,
  isFiniteTensor,
  nonFinitePaths,
  sameSpec,
  sameTensors,
  scalar,
  sizeOf,
  type Tensor,
  type TensorData,
  type TensorSpec,
  type TensorSpecs,
  type Tensors,
} from "./tensor.js";
