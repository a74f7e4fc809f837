import { expect, test } from "vitest";
import { soak } from "./async-worker-soak.js";

test.each([11, 12, 13])("a soak of 100,000 jobs adds up (random seed %i)", async (seed) => {
  const { stats, peakInside, outcomes, ...rest } = await soak(100_000, seed, 16);
  console.log(JSON.stringify({ seed, ...stats, ...rest }));
  expect(stats.completed + stats.failed + stats.timedOut + stats.canceled).toBe(stats.submitted);
  expect(stats.submitted).toBe(100_000);
  expect(Object.values(outcomes).reduce((sum, count) => sum + count, 0)).toBe(100_000 + stats.rejected);
  expect(stats).toMatchObject({ queued: 0, running: 0, lingering: 0, peakRunning: 16 });
  expect(peakInside).toBe(16);
  expect(rest.canceledQueued).toBeGreaterThan(1_000);
  expect(rest.canceledRunning).toBeGreaterThan(1_000);
  expect(rest.pendingTimers).toBe(0);
});
