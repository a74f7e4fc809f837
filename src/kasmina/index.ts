export type { RunDescription } from "./changes/describe.js";
export type { IsolationOutcome } from "./changes/isolation-watch.js";
export type {
  EvaluationMeasurement,
  SeedEvaluation,
  SeedStepMeasurement,
  StepMeasurement,
} from "./changes/measurements.js";
export type { ResidueProbe } from "./changes/reset-watch.js";
export type { Boundary } from "./commands/context.js";
export type { CommandReason, RefusalReason } from "./commands/outcome.js";
export { type KasminaConfig, type KasminaConfigInput, parseConfig } from "./config.js";
export type { GateReason, GateResult } from "./gates/index.js";
export { Kasmina, type KasminaOptions } from "./kasmina.js";
export { type CacheStats, KernelCache } from "./kernels/cache.js";
export type { FetchReason } from "./kernels/checks.js";
export { BlueprintLocks, type LockContention, type LockStats } from "./kernels/lock.js";
export { type ArtifactReader, KernelPrefetch, type PrefetchOptions } from "./kernels/prefetch.js";
export {
  type KernelEvent,
  type KernelObserver,
  kernelMetrics,
  type PrefetchStats,
} from "./kernels/telemetry.js";
export {
  type CommandJournal,
  type FetchResult,
  type JournalRecord,
  MemoryJournal,
} from "./security/journal.js";
export { REJECTION_REASONS, type RejectionReason } from "./security/verifier.js";
export { type BlendWeights, blendWeights } from "./state/blending.js";
export type { OptimizerSettings, PlannedChange, StructuralChange } from "./state/change-plan.js";
export type { SlotSpec } from "./state/registry.js";
export type {
  KernelFacts,
  Seed,
  SeedStats,
} from "./state/seed.js";
export type { KasminaSnapshot } from "./state/snapshot.js";
export type { Teacher } from "./state/teacher.js";
