export { type CacheStats, copyKernel, KernelCache } from "./cache.js";
export { FETCH_REASONS, type FetchReason } from "./checks.js";
export { BlueprintLocks, type BlueprintLocksOptions, type LockContention, type LockStats } from "./lock.js";
export { kernelMetrics, type PrefetchStats, type PrefetchStatus } from "./metrics.js";
export type { KernelEvent, KernelObserver } from "./observer.js";
export { type ArtifactReader, KernelPrefetch, type PrefetchOptions } from "./prefetch.js";
