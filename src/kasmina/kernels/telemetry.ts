/** What fetching and caching kernels report: events as they happen, and metrics. */
import type { AsyncWorkerStats } from "../../base/index.js";
import type {
  Attributes,
  EventName,
  MetricName,
  TelemetryLevel,
  TelemetryMetric,
} from "../../contracts/index.js";
import type { CacheStats } from "./cache.js";
import type { LockStats } from "./lock.js";

/** Whoever runs the machinery makes packets of this. */
export interface KernelEvent {
  readonly name: EventName;
  readonly level: TelemetryLevel;
  readonly atMs: number;
  readonly trainingRunId: string;
  /** Left out: no one seed's. */
  readonly seedId?: string;
  /** Ids among them again, for those who see attributes only. */
  readonly attributes: Attributes;
}

/** Must not throw. */
export type KernelObserver = (event: KernelEvent) => void;

export type PrefetchStatus = "ready" | "error" | "timeout" | "canceled" | "refused";

export interface PrefetchStats {
  /** By how they ended; together with `inflight` all that were ever made. */
  readonly requests: Readonly<Record<PrefetchStatus, number>>;
  /** Requests that have not ended. */
  readonly inflight: number;
  /** Distinct requests that were sent, or are about to be, and are not answered. */
  readonly outstanding: number;
  /** Requests that joined one in flight instead of being sent. */
  readonly joined: number;
  /** Of the last request that got its kernel. */
  readonly lastLatencyMs?: number;
  /** What its worker measured. */
  readonly lastPrewarmP95Ms?: number;
  /** Answers nobody waits for (any more), and answers that cannot be read. */
  readonly ignoredAnswers: { readonly unknown: number; readonly malformed: number };
  readonly worker: AsyncWorkerStats;
}

/** The state of things as metrics. `kasmina.cache.lock_wait_ms` is the longest wait for a lock so far. */
export function kernelMetrics(
  prefetch: PrefetchStats,
  cache: CacheStats,
  locks: LockStats,
): TelemetryMetric[] {
  const byStatus = Object.entries(prefetch.requests).map(
    ([status, value]): TelemetryMetric => ({
      name: "kasmina.prefetch.requests_total",
      value,
      labels: { status },
    }),
  );
  return [
    ...byStatus,
    ...measured("kasmina.prefetch.latency_ms", prefetch.lastLatencyMs),
    ...measured("kasmina.prewarm.latency_ms", prefetch.lastPrewarmP95Ms),
    { name: "kasmina.prefetch.inflight", value: prefetch.inflight },
    { name: "kasmina.cache.size", value: cache.size },
    { name: "kasmina.cache.capacity", value: cache.capacity },
    { name: "kasmina.cache.hits_total", value: cache.hits },
    { name: "kasmina.cache.misses_total", value: cache.misses },
    { name: "kasmina.cache.evictions_total", value: cache.evictions },
    { name: "kasmina.cache.lock_wait_ms", value: locks.waitMsMax },
  ];
}

function measured(name: MetricName, value: number | undefined): TelemetryMetric[] {
  return value === undefined ? [] : [{ name, value }];
}
