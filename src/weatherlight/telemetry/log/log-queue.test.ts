import { describe, expect, test } from "vitest";
import { KasminaError, ManualClock } from "../../../base/index.js";
import type { LogPoint } from "./log-points.js";
import { LogQueue } from "./log-queue.js";
import type { LoggedRun, LogTarget } from "./log-target.js";

const RUN: LoggedRun = { folder: "/none", runId: "run-1", config: {}, startedMs: 0, firstStep: 0 };
const point = (step: number): LogPoint => ({ kind: "scalar", tag: "loss/train", step, atMs: 0, value: 1 });
const points = (count: number): LogPoint[] => Array.from({ length: count }, (_, step) => point(step));
const down = (): Promise<never> => Promise.reject(new KasminaError("unavailable", "cannot reach it"));
const never = (): Promise<never> => new Promise(() => {});

/** A target that keeps what it is told, and does otherwise where it is told so. */
class Kept implements LogTarget {
  readonly name = "somewhere";
  readonly calls: string[] = [];
  readonly steps: number[] = [];
  open = async (): Promise<void> => void this.calls.push("open");
  write = async (batch: readonly LogPoint[]): Promise<void> => {
    this.calls.push(`write ${batch.length}`);
    this.steps.push(...batch.map(({ step }) => step));
  };
  close = async (end: string): Promise<void> => void this.calls.push(`close ${end}`);
}

class Bench {
  readonly clock = new ManualClock();
  readonly target = new Kept();
  readonly problems: string[] = [];
  readonly queue = new LogQueue(this.target, RUN, {
    clock: this.clock,
    onProblem: (problem) => this.problems.push(problem),
  });

  /** Lets time pass, and everything that waits for it happen. */
  async pass(ms: number): Promise<void> {
    await settled();
    this.clock.advance(ms);
    await settled();
  }

  /** Closes, while time passes. */
  async close(ms = 0): Promise<void> {
    const closed = this.queue.close("finished");
    await this.pass(ms);
    await closed;
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("what is logged", () => {
  test("goes out once a second, in order, a thousand points at a time", async () => {
    const bench = new Bench();
    bench.queue.add(points(1_500));
    bench.queue.add([point(1_500)]);
    expect(bench.target.calls).toEqual([]);
    await bench.pass(1_000);
    expect(bench.target.calls).toEqual(["open", "write 1000", "write 501"]);
    bench.queue.add([point(1_501)]);
    await bench.close();
    expect(bench.target.calls.slice(3)).toEqual(["write 1", "close finished"]);
    expect(bench.target.steps).toEqual(points(1_502).map(({ step }) => step));
    expect(bench.problems).toEqual([]);
    expect(bench.clock.pendingTimers).toBe(0);
  });

  test("of a run that says nothing leaves no trace", async () => {
    const bench = new Bench();
    await bench.close();
    expect(bench.target.calls).toEqual([]);
  });
});

describe("a target that cannot be reached", () => {
  test("is tried again, ever more seldom, is spoken of once, and gets everything in the end", async () => {
    const bench = new Bench();
    const { open } = bench.target;
    let tries = 0;
    bench.target.open = () => {
      tries++;
      return down();
    };
    bench.queue.add(points(3));
    for (const ms of [1_000, 1_000, 2_000, 4_000]) await bench.pass(ms);
    expect(tries).toBe(4);
    bench.target.open = open;
    await bench.pass(8_000);
    expect(bench.target.steps).toEqual([0, 1, 2]);
    await bench.close();
    expect(bench.problems).toEqual(["somewhere: cannot reach it; the run goes on, and this is tried again"]);
  });

  test("is tried a last time at the end, which says what is lost", async () => {
    const bench = new Bench();
    bench.target.open = down;
    bench.queue.add(points(3));
    await bench.pass(1_000);
    await bench.close();
    expect(bench.problems.at(-1)).toBe("somewhere: 3 points were lost");
    expect(bench.target.calls).toEqual([]);
    expect(bench.clock.pendingTimers).toBe(0);
  });

  test("keeps no more than so many points, the newest", async () => {
    const bench = new Bench();
    const { write } = bench.target;
    bench.target.write = down;
    for (let i = 0; i < 25; i++) bench.queue.add(points(1_000).map((_, j) => point(1_000 * i + j)));
    await bench.pass(1_000);
    bench.target.write = write;
    await bench.close();
    expect(bench.target.steps.length).toBe(20_000);
    expect(bench.target.steps[0]).toBe(5_000);
    expect(bench.problems.at(-1)).toBe("somewhere: 5000 points were lost");
  });
});

describe("a target that never answers", () => {
  test("is given up after ten seconds, and tried again", async () => {
    const bench = new Bench();
    let aborted = 0;
    bench.target.write = (_: readonly LogPoint[], signal?: AbortSignal) => {
      signal?.addEventListener("abort", () => aborted++);
      return never();
    };
    bench.queue.add([point(1)]);
    await bench.pass(1_000);
    await bench.pass(10_000);
    expect(aborted).toBe(1);
    expect(bench.problems).toEqual([
      "somewhere: no answer within 10 s; the run goes on, and this is tried again",
    ]);
  });

  test.each([
    "open",
    "write",
    "close",
  ] as const)("to %s keeps the end of a run for five seconds", async (call) => {
    const bench = new Bench();
    bench.target[call] = never;
    bench.queue.add([point(1)]);
    await bench.pass(1_000);
    await bench.close(5_000);
    expect(bench.problems[0]).toMatch(/no answer within 5 s/);
  });
});

test("a target that refuses is spoken of once and left alone", async () => {
  const bench = new Bench();
  bench.target.write = () => Promise.reject(new KasminaError("illegal_state", "you may not"));
  bench.queue.add([point(1)]);
  await bench.pass(1_000);
  bench.queue.add([point(2)]);
  await bench.pass(60_000);
  await bench.close();
  expect(bench.target.calls).toEqual(["open"]);
  expect(bench.problems).toEqual(["somewhere: you may not; nothing more is logged there"]);
});
