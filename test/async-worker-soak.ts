/** A soak of the {@link AsyncWorker} under seeded randomness; the quick test runs a short one, the long suite a long one. */
import { AsyncWorker, type AsyncWorkerStats, type JobOutcome } from "../src/base/async-worker.js";
import { ManualClock } from "../src/base/clock.js";
import { KasminaError } from "../src/base/errors.js";
import { Random } from "../src/base/random.js";

export interface SoakResult {
  readonly stats: AsyncWorkerStats;
  /** What the jobs themselves saw. */
  readonly peakInside: number;
  readonly outcomes: Readonly<Record<string, number>>;
  /** Jobs canceled before they ever ran, and while they ran. */
  readonly canceledQueued: number;
  readonly canceledRunning: number;
  readonly pendingTimers: number;
}

/** Submits until `jobs` jobs were taken that succeed, fail, overrun their deadline, or are canceled while they wait or run. */
export async function soak(jobs: number, seed: number, maxRunning: number): Promise<SoakResult> {
  const clock = new ManualClock();
  const random = new Random(seed);
  const worker = new AsyncWorker({ maxRunning, maxQueued: 48, clock });
  const outcomes: Record<string, number> = {};
  let inside = 0;
  let peakInside = 0;
  let canceledQueued = 0;
  let canceledRunning = 0;

  const submitOne = async (): Promise<void> => {
    const controller = new AbortController();
    const durationMs = random.below(40);
    const fails = random.below(5) === 0;
    const heedsSignal = random.below(4) > 0;
    const cancelAfterMs = random.below(3) === 0 ? random.below(120) : undefined;
    const deadlineMs = random.below(2) === 0 ? 1 + random.below(150) : undefined;
    let started = false;
    const job = async (signal: AbortSignal): Promise<number> => {
      started = true;
      peakInside = Math.max(peakInside, ++inside);
      await new Promise<void>((resolve) => {
        const timer = clock.setTimer(resolve, durationMs);
        if (!heedsSignal) return;
        signal.addEventListener("abort", () => {
          timer.cancel();
          resolve();
        });
      });
      inside--;
      if (fails) throw new KasminaError("io", "meant to fail");
      return durationMs;
    };
    const pending = worker.submit(job, {
      signal: controller.signal,
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
    });
    const cancelTimer =
      cancelAfterMs === undefined ? undefined : clock.setTimer(() => controller.abort(), cancelAfterMs);
    const outcome: JobOutcome<number> = await pending;
    cancelTimer?.cancel();
    outcomes[outcome.status] = (outcomes[outcome.status] ?? 0) + 1;
    if (outcome.status === "canceled") started ? canceledRunning++ : canceledQueued++;
  };

  const all: Promise<void>[] = [];
  while (worker.stats.submitted < jobs) {
    const burst = Math.min(random.below(2 * maxRunning), jobs - worker.stats.submitted);
    for (let i = 0; i < burst; i++) all.push(submitOne());
    clock.advance(random.below(30));
    await drainMicrotasks();
  }
  while (clock.pendingTimers > 0) {
    clock.advance(10);
    await drainMicrotasks();
  }
  await Promise.all(all);
  await worker.close();
  return {
    stats: worker.stats,
    peakInside,
    outcomes,
    canceledQueued,
    canceledRunning,
    pendingTimers: clock.pendingTimers,
  };
}

async function drainMicrotasks(): Promise<void> {
  for (let i = 0; i < 6; i++) await Promise.resolve();
}
