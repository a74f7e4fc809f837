export { alphaAt, type BlendWeights, blendWeights } from "./blending.js";
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
export { type EvaluationResult, EvaluationSums, evaluationProgram } from "./step/evaluation.js";
export { blendControlSpecs, forward, hostWeightControl, seedWeightControl } from "./step/forward.js";
export { globalNorm, lookupIn, type StepGradients, stepGradients } from "./step/gradients.js";
export {
  batchSpecs,
  isBlended,
  learningPlan,
  ownerOf,
  parameterSpecs,
  type SeedPart,
  type SeedSite,
  seedPath,
  siteSpecs,
  sitesInOrder,
  slotShape,
  type Topology,
} from "./step/topology.js";
