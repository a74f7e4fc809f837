import { expect, test } from "vitest";
import { AsyncWorker } from "../../base/index.js";
import { KernelCache } from "./cache.js";
import { BlueprintLocks } from "./lock.js";
import { kernelMetrics } from "./telemetry.js";

test("every count stands in one metric; a latency that was never measured in none", () => {
  const locks = new BlueprintLocks();
  const stats = {
    requests: { ready: 5, error: 4, timeout: 3, canceled: 2, refused: 1 },
    inflight: 6,
    outstanding: 7,
    joined: 8,
    ignoredAnswers: { unknown: 0, malformed: 0 },
    worker: new AsyncWorker().stats,
  };
  const cache = new KernelCache(locks).stats;
  const values = (metrics: ReturnType<typeof kernelMetrics>) =>
    Object.fromEntries(
      metrics.map(({ name, value, labels }) => [[name, ...Object.values(labels ?? {})].join(" "), value]),
    );
  const first = values(kernelMetrics(stats, cache, locks.stats));
  expect(first).toEqual({
    "kasmina.prefetch.requests_total ready": 5,
    "kasmina.prefetch.requests_total error": 4,
    "kasmina.prefetch.requests_total timeout": 3,
    "kasmina.prefetch.requests_total canceled": 2,
    "kasmina.prefetch.requests_total refused": 1,
    "kasmina.prefetch.inflight": 6,
    "kasmina.cache.size": 0,
    "kasmina.cache.capacity": 32,
    "kasmina.cache.hits_total": 0,
    "kasmina.cache.misses_total": 0,
    "kasmina.cache.evictions_total": 0,
    "kasmina.cache.lock_wait_ms": 0,
  });
  const measured = { ...stats, lastLatencyMs: 7, lastPrewarmP95Ms: 2 };
  expect(values(kernelMetrics(measured, cache, locks.stats))).toEqual({
    ...first,
    "kasmina.prefetch.latency_ms": 7,
    "kasmina.prewarm.latency_ms": 2,
  });
});
