import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { AsyncWorker, type Job } from "./async-worker.js";
import { ManualClock } from "./clock.js";

/** A job that ends when it is told to, and counts how often its signal aborted. */
function manualJob<T>() {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
  const seen = { started: false, signal: undefined as AbortSignal | undefined };
  const run: Job<T> = (signal) => {
    seen.started = true;
    seen.signal = signal;
    return promise;
  };
  return { run, seen, resolve, reject };
}

const endless: Job<never> = () => new Promise(() => {});
const heeding: Job<void> = (signal) =>
  new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));

describe("AsyncWorker", () => {
  test("gives back what the job returned or threw, sync or async", async () => {
    const worker = new AsyncWorker();
    const error = new Error("no");
    expect(await worker.submit(() => 7)).toEqual({ status: "completed", value: 7 });
    expect(await worker.submit(async () => 8)).toEqual({ status: "completed", value: 8 });
    expect(await worker.submit(() => Promise.reject(error))).toEqual({ status: "failed", error });
    const thrown = await worker.submit(() => {
      throw error;
    });
    expect(thrown).toEqual({ status: "failed", error });
    expect(worker.stats).toMatchObject({ submitted: 4, completed: 2, failed: 2, running: 0 });
  });

  test("runs at most maxRunning, the others in the order they came", async () => {
    const worker = new AsyncWorker({ maxRunning: 2 });
    const jobs = Array.from({ length: 4 }, () => manualJob<number>());
    const outcomes = jobs.map((job) => worker.submit(job.run));
    expect(jobs.map((job) => job.seen.started)).toEqual([true, true, false, false]);
    jobs[1]?.resolve(1);
    await outcomes[1];
    await Promise.resolve();
    expect(jobs.map((job) => job.seen.started)).toEqual([true, true, true, false]);
    for (const job of jobs) job.resolve(0);
    await Promise.all(outcomes);
    expect(worker.stats.peakRunning).toBe(2);
  });

  test("a full queue rejects, and says so", async () => {
    const worker = new AsyncWorker({ maxRunning: 1, maxQueued: 1 });
    const first = manualJob<number>();
    const outcomes = [worker.submit(first.run), worker.submit(() => 2)];
    expect(await worker.submit(() => 3)).toEqual({ status: "rejected", reason: "queue_full" });
    first.resolve(1);
    expect(await Promise.all(outcomes)).toMatchObject([{ value: 1 }, { value: 2 }]);
    expect(worker.stats).toMatchObject({ submitted: 2, rejected: 1, completed: 2 });
  });

  test("with no queue at all, what cannot start is rejected", async () => {
    const worker = new AsyncWorker({ maxRunning: 1, maxQueued: 0 });
    const first = manualJob<number>();
    const pending = worker.submit(first.run);
    expect((await worker.submit(() => 2)).status).toBe("rejected");
    first.resolve(1);
    expect((await pending).status).toBe("completed");
  });

  test("the deadline counts the time in the queue, and a job that timed out there never runs", async () => {
    const clock = new ManualClock();
    const worker = new AsyncWorker({ maxRunning: 1, clock });
    const first = manualJob<number>();
    const second = manualJob<number>();
    void worker.submit(first.run);
    const outcome = worker.submit(second.run, { deadlineMs: 50 });
    clock.advance(50);
    expect(await outcome).toEqual({ status: "timed_out", waitedMs: 50 });
    first.resolve(1);
    await Promise.resolve();
    expect(second.seen.started).toBe(false);
    expect(clock.pendingTimers).toBe(0);
  });

  test("a running job that times out is notified, and keeps its place until it stops", async () => {
    const clock = new ManualClock();
    const worker = new AsyncWorker({ maxRunning: 1, clock });
    const stubborn = manualJob<number>();
    const next = manualJob<number>();
    const outcome = worker.submit(stubborn.run, { deadlineMs: 10 });
    void worker.submit(next.run);
    clock.advance(10);
    expect(await outcome).toEqual({ status: "timed_out", waitedMs: 10 });
    expect(stubborn.seen.signal?.reason).toMatchObject({ code: "timeout" });
    expect(worker.stats).toMatchObject({ running: 1, lingering: 1, timedOut: 1 });
    expect(next.seen.started).toBe(false);
    stubborn.resolve(99);
    await expect.poll(() => next.seen.started).toBe(true);
    expect(worker.stats).toMatchObject({ running: 1, lingering: 0, completed: 0 });
  });

  test("cancelling works before, while waiting, and while running", async () => {
    const worker = new AsyncWorker({ maxRunning: 1 });
    const early = AbortSignal.abort();
    expect(await worker.submit(endless, { signal: early })).toEqual({ status: "canceled" });
    const running = new AbortController();
    const waiting = new AbortController();
    const first = worker.submit(heeding, { signal: running.signal });
    const second = worker.submit(endless, { signal: waiting.signal });
    waiting.abort();
    expect(await second).toEqual({ status: "canceled" });
    running.abort();
    expect(await first).toEqual({ status: "canceled" });
    await expect.poll(() => worker.stats.running).toBe(0);
    expect(worker.stats).toMatchObject({ submitted: 3, canceled: 3, queued: 0, lingering: 0 });
  });

  test("one signal may serve many jobs, and is let go of when they are done", async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on("warning", onWarning);
    const worker = new AsyncWorker({ maxRunning: 4, maxQueued: 100 });
    const controller = new AbortController();
    const all = Array.from({ length: 100 }, () => worker.submit(() => 1, { signal: controller.signal }));
    expect((await Promise.all(all)).every((outcome) => outcome.status === "completed")).toBe(true);
    controller.abort();
    await new Promise((resolve) => setImmediate(resolve));
    process.off("warning", onWarning);
    expect(warnings).toEqual([]);
    expect(worker.stats.canceled).toBe(0);
  });

  test("closing settles everything, waits for what heeds its signal, and takes nothing more", async () => {
    const worker = new AsyncWorker({ maxRunning: 2 });
    const outcomes = Array.from({ length: 1000 }, () => worker.submit(heeding));
    expect(await worker.close()).toEqual({ lingering: 0 });
    expect(new Set((await Promise.all(outcomes)).map((outcome) => outcome.status))).toEqual(
      new Set(["canceled"]),
    );
    expect(await worker.submit(() => 1)).toEqual({ status: "rejected", reason: "closed" });
    expect(worker.stats).toMatchObject({ submitted: 1000, canceled: 1000, running: 0, queued: 0 });
  });

  test("closing gives up on a job that will not stop, and says so", async () => {
    const clock = new ManualClock();
    const worker = new AsyncWorker({ clock, shutdownMs: 200 });
    const outcome = worker.submit(endless);
    const closed = worker.close();
    expect(worker.close()).toBe(closed);
    expect(await outcome).toEqual({ status: "canceled" });
    clock.advance(200);
    expect(await closed).toEqual({ lingering: 1 });
  });

  test.each([{ maxRunning: 0 }, { maxRunning: 1.5 }, { maxQueued: -1 }])("refuses %o", (options) => {
    expect(() => new AsyncWorker(options)).toThrow(RangeError);
  });

  test("neither deadlines nor waiting jobs keep a process alive", () => {
    const script = `import { AsyncWorker } from ${JSON.stringify(new URL("../../dist/base/async-worker.js", import.meta.url).href)};
      const worker = new AsyncWorker({ maxRunning: 1 });
      for (let i = 0; i < 3; i++) void worker.submit(() => new Promise(() => {}), { deadlineMs: 600_000 });
      console.log(JSON.stringify(worker.stats));`;
    const output = execFileSync(process.execPath, ["--input-type=module", "-e", script], {
      timeout: 150_000,
    });
    expect(JSON.parse(output.toString())).toMatchObject({ running: 1, queued: 2 });
  });
});
