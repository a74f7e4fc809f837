import { describe, expect, test } from "vitest";
import { DependencyViolationError, deferred, KasminaError, ManualClock } from "../../base/index.js";
import type { Kernel, KernelRequest, KernelSource } from "../../contracts/index.js";
import { ControlRun, type ControlRunOptions, kernelFor } from "../control-run.fixture.js";
import { MemoryJournal } from "../index.js";

const FAST: KernelSource = { fetch: (request) => Promise.resolve(kernelFor(request)) };
const NEVER: KernelSource = { fetch: () => new Promise(() => undefined) };
const LATE: KernelSource = {
  fetch: () => Promise.reject(new DependencyViolationError("late", { details: { reason: "timeout" } })),
};
const GONE: KernelSource = {
  fetch: () => Promise.reject(new DependencyViolationError("no such artifact")),
};

function slow(p95Ms: number): KernelSource {
  return { fetch: (request) => Promise.resolve(kernelFor(request, { prewarmP95Ms: p95Ms })) };
}

/** A run whose germination is accepted and not in effect yet, and the same run as it is resumed from there. */
function twice(first: KernelSource, second: KernelSource, options: ControlRunOptions = {}) {
  const journal = new MemoryJournal();
  const original = new ControlRun({ ...options, journal, kernels: first });
  original.germinate();
  const snapshot = original.kasmina.snapshot();
  const resumed = (): ControlRun => {
    const run = new ControlRun({ clock: new ManualClock(), journal, kernels: second });
    run.kasmina.resume(snapshot);
    return run;
  };
  return { journal, original, resumed };
}

describe("a run that is resumed before its kernel is due", () => {
  test("culls again the seed whose kernel could not be had, though it can be had now", async () => {
    const { original, resumed, journal } = twice(GONE, FAST);
    await original.runTo(3);
    expect(original.kasmina.seed("s1")?.stage).toBe("EMBARGOED");
    const again = resumed();
    await again.runTo(3);
    expect(again.kasmina.seed("s1")).toMatchObject({ stage: "EMBARGOED" });
    expect(again.kasmina.seed("s1")?.kernel).toBeUndefined();
    expect(journal.fetchResults).toMatchObject([
      { requestId: "run-1/s1/0", step: 2, found: { status: "missing", code: "dependency_violation" } },
    ]);
  });

  test("keeps the latency that was measured first", async () => {
    const { original, resumed } = twice(slow(7), slow(900));
    await original.runTo(3);
    const again = resumed();
    await again.runTo(3);
    expect(again.kasmina.seed("s1")?.kernel).toMatchObject({ prewarmP95Ms: 7 });
    expect(again.kasmina.seed("s1")?.kernel).toEqual(original.kasmina.seed("s1")?.kernel);
  });

  test("waits past every deadline of its source for a kernel that was there once", async () => {
    let asked = 0;
    const late: KernelSource = {
      fetch: (request, signal) => (++asked < 3 ? LATE : FAST).fetch(request, signal),
    };
    const { original, resumed } = twice(FAST, late);
    await original.runTo(3);
    const again = resumed();
    await again.runTo(3);
    expect(asked).toBe(3);
    expect(again.kasmina.seed("s1")?.kernel).toMatchObject({ prewarmP95Ms: 2 });
  });

  test("stops where a kernel that was there once cannot be had any more", async () => {
    const { original, resumed } = twice(FAST, GONE);
    await original.runTo(3);
    await expect(resumed().runTo(3)).rejects.toMatchObject({
      code: "dependency_violation",
      message: expect.stringContaining("no such artifact"),
    });
  });
});

test("a stop while a kernel is waited for leaves the change for the run that is resumed", async () => {
  const { original, resumed, journal } = twice(NEVER, FAST);
  const stop = new AbortController();
  const waiting = original.kasmina.takeEffect(2, stop.signal);
  stop.abort(new KasminaError("canceled", "stopped"));
  expect(await waiting).toEqual([]);
  expect(original.kasmina.planned).toMatchObject([{ effectiveStep: 2, intent: { kind: "attach" } }]);
  expect(journal.fetchResults).toEqual([]);
  const again = resumed();
  await again.runTo(2);
  expect(again.kasmina.seed("s1")?.kernel).toBeDefined();
});

test("a kernel is waited for as long as its source takes", async () => {
  const asked = deferred<KernelRequest>();
  const built = deferred<Kernel>();
  const slow: KernelSource = {
    fetch: (request) => {
      asked.resolve(request);
      return built.promise;
    },
  };
  const run = new ControlRun({ kernels: slow });
  run.germinate();
  const due = run.runTo(3);
  await new Promise((resolve) => setImmediate(resolve));
  run.clock.advance(24 * 60 * 60 * 1000);
  await new Promise((resolve) => setImmediate(resolve));
  built.resolve(kernelFor(await asked.promise));
  await due;
  expect(run.kasmina.seed("s1")?.kernel).toBeDefined();
});
