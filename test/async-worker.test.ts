import { expect, test } from "vitest";
import { soak } from "./async-worker-soak.js";

test.each([1, 2, 3])("a soak of 5,000 jobs adds up (random seed %i)", async (seed) => {
  const { stats, peakInside, outcomes, ...rest } = await soak(5_000, seed, 8);
  expect(stats.completed + stats.failed + stats.timedOut + stats.canceled).toBe(stats.submitted);
  expect(stats.submitted).toBe(5_000);
  expect(stats).toMatchObject({ queued: 0, running: 0, lingering: 0 });
  expect(peakInside).toBe(8);
  expect(stats.peakRunning).toBe(8);
  expect(outcomes).toEqual({
    completed: stats.completed,
    failed: stats.failed,
    timed_out: stats.timedOut,
    canceled: stats.canceled,
    rejected: stats.rejected,
  });
  for (const count of Object.values(outcomes)) expect(count).toBeGreaterThan(0);
  expect(rest.canceledQueued).toBeGreaterThan(0);
  expect(rest.canceledRunning).toBeGreaterThan(0);
  expect(rest.pendingTimers).toBe(0);
});
