import { describe, expect, test } from "vitest";
import { type KasminaConfigInput, parseConfig, stepsOf } from "./config.js";

describe("configuration", () => {
  test("its defaults", () => {
    const config = parseConfig();
    expect(config.command).toEqual({
      freshnessWindowMs: 60_000,
      futureSkewMs: 5_000,
      maxBytes: 65_536,
      maxIdBytes: 128,
    });
    expect(config.nonceLedger).toMatchObject({ ttlMs: 300_000, capacity: 10_000 });
    expect(config.kernel).toEqual({
      latencyBudgetMs: 10,
      prefetchDeadlineMs: 1_000,
      cacheArtifacts: 32,
      lockContentionMs: 100,
    });
    expect(config.embargoMs).toBe(30_000);
    expect(config.blend).toEqual({ maxVector: 64, maxLogits: 256 });
    expect(config.breakers.fetch).toMatchObject({ failures: 3, windowMs: 60_000 });
    expect(config.breakers.isolation).toMatchObject({ failures: 3, windowMs: 30_000 });
    expect(config.telemetry.pendingEvents).toBe(64);
    expect(config.worker).toEqual({ concurrency: 8, queue: 1_024, shutdownMs: 5_000 });
  });

  test("the prefetch deadline follows the latency budget", () => {
    expect(parseConfig({ kernel: { latencyBudgetMs: 700 } }).kernel.prefetchDeadlineMs).toBe(1_400);
  });

  test.each<[KasminaConfigInput | Record<string, unknown>, RegExp]>([
    [{ embargo: 1 }, /config.*embargo/],
    [{ command: { window: 1 } }, /config\.command.*window/],
    [{ nonceLedger: { ttlMs: 64_999 } }, /config\.nonceLedger\.ttlMs.*freshness/],
    [{ embargoMs: Number.NaN }, /config\.embargoMs/],
    [{ leadSteps: 1.5 }, /config\.leadSteps/],
    [{ isolation: { failFast: "false" } }, /config\.isolation\.failFast/],
  ])("%j is refused", (input, message) => {
    expect(() => parseConfig(input as KasminaConfigInput)).toThrow(message);
  });

  test("milliseconds that govern training become steps", () => {
    expect(stepsOf(parseConfig({ stepMs: 7 }), 15)).toBe(3);
    expect(stepsOf(parseConfig(), 0)).toBe(0);
  });
});
