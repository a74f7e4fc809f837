export { alphaAt, type BlendWeights, blendWeights } from "./blending.js";
export type { BlueprintCatalog } from "./blueprint-catalog.js";
export { Breaker, type BreakerLimits, type BreakerState } from "./breaker.js";
export type { OptimizerSettings, PlannedChange, StructuralChange } from "./change-plan.js";
export type { Boundary } from "./commands/context.js";
export { type CommandReason, REFUSAL_REASONS, type RefusalReason } from "./commands/outcome.js";
export { type KasminaConfig, type KasminaConfigInput, parseConfig, stepsOf } from "./config.js";
export type { RunDescription } from "./describe.js";
export { GATE_REASONS, type GateReason, type GateResult, type InstalledTopology } from "./gates/index.js";
export {
  type CoordinateSample,
  type IsolationCheck,
  type IsolationClaim,
  type IsolationFailure,
  type IsolationLimits,
  IsolationMonitor,
  type IsolationProof,
  type IsolationReading,
  inquiryProgram,
  isIsolated,
  type MonitorOptions,
  monitoredRows,
  probeProgram,
  proveIsolation,
  sampleCoordinates,
  violationOf,
} from "./isolation/index.js";
export type { IsolationVerdict } from "./isolation-watch.js";
export { Kasmina, type KasminaOptions } from "./kasmina.js";
export {
  type ArtifactReader,
  BlueprintLocks,
  type CacheStats,
  copyKernel,
  FETCH_REASONS,
  type FetchReason,
  KernelCache,
  type KernelEvent,
  type KernelObserver,
  KernelPrefetch,
  kernelMetrics,
  type LockContention,
  type LockStats,
  type PrefetchOptions,
  type PrefetchStats,
} from "./kernels/index.js";
export { canTransition, TRANSITIONS, transition } from "./lifecycle.js";
export type {
  EvaluationMeasurement,
  SeedEvaluation,
  SeedStepMeasurement,
  StepMeasurement,
} from "./measurements.js";
export type { SlotSpec } from "./registry.js";
export type { ResidueProbe } from "./reset-watch.js";
export {
  type CommandJournal,
  type JournalRecord,
  type KernelVerdict,
  MemoryJournal,
} from "./security/journal.js";
export { NonceLedger } from "./security/nonce-ledger.js";
export { CommandVerifier, REJECTION_REASONS, type RejectionReason } from "./security/verifier.js";
export { alphaSteps, type KernelFacts, type PerformanceStatus, type Seed, type SeedStats } from "./seed.js";
export type { KasminaSnapshot } from "./snapshot.js";
export {
  checkTeacher,
  DISTILLATION_TEMPERATURE,
  DISTILLATION_WEIGHT,
  distillationControlSpecs,
  teacherSpecs,
} from "./step/distillation.js";
export { type EvaluationResult, EvaluationSums, evaluationProgram } from "./step/evaluation.js";
export { blendControlSpecs, forward, hostWeightControl, seedWeightControl } from "./step/forward.js";
export { forwardProgram } from "./step/forward-program.js";
export { globalNorm, lookupIn, type StepGradients, stepGradients } from "./step/gradients.js";
export { prewarmBatch, prewarmProgram } from "./step/prewarm.js";
export {
  type BlendControls,
  blendControls,
  type GraftCandidate,
  installedTopology,
  type TopologyOptions,
  topologiesAhead,
  topologiesOfCandidates,
  topologyAfter,
  topologyOf,
} from "./step/sites.js";
export {
  batchSpecs,
  isBlended,
  isShadow,
  learningPlan,
  ownerOf,
  parameterSpecs,
  type SeedPart,
  type SeedSite,
  seedPath,
  siteSpecs,
  sitesInOrder,
  slotShape,
  type TeacherNetwork,
  type Topology,
} from "./step/topology.js";
export { TEACHER_ROOT, type Teacher } from "./teacher.js";
export { TelemetryHub } from "./telemetry/hub.js";
