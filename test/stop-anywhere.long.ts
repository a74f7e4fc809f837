/**
 * A run that is stopped while it waits for a kernel, traces or compiles a topology, or evaluates, and is resumed from the
 * checkpoint it wrote then, ends like the run that nobody stopped. (Stops at every stage: `grow.long.ts`.)
 */
import { beforeAll, describe, expect, test } from "vitest";
import { type Backend, openBackend, wrapBackend, wrapProgram } from "../src/engine/index.js";
import { parseConfig } from "../src/kasmina/index.js";
import { localTracer } from "../src/tolaria/index.js";
import type { RunCheckpoint } from "../src/weatherlight/grow/run-outcome.js";
import type { RunSetup } from "../src/weatherlight/grow/run-setup.js";
import { optionsFor, run, type Trail } from "../src/weatherlight/grow/train-run.fixture.js";
import { HeldKernels, KERNELS_AT_ONCE } from "./support/held-kernels.js";

type Stop = (stop: AbortController) => Partial<RunSetup>;

/** Calls `notify` before each run of an evaluation; the run itself is under way when the event loop turns. */
function watchingEvaluations(backend: Backend, notify: () => void): Backend {
  return wrapBackend(backend, {
    program(program, { definition }) {
      if (definition.name !== "evaluation") return program;
      return wrapProgram(program, (...args) => {
        notify();
        return program.run(...args);
      });
    },
  });
}

/** Calls `notify` so many steps after the first germination; its kernel never comes. */
function afterGermination(steps: number, notify: () => void): Partial<RunSetup> {
  let germinatedAt = Number.POSITIVE_INFINITY;
  let step = 0;
  return {
    kernels: new HeldKernels(() => {
      germinatedAt = step;
    }),
    onLoss: (at) => {
      step = at + 1;
      if (step === germinatedAt + steps) notify();
    },
  };
}

/** Calls `notify` at the `nth` trace, in the middle of it. */
function atTrace(nth: number, notify: () => void): Partial<RunSetup> {
  let traces = 0;
  return {
    tracer: {
      trace: async (...args) => {
        const traced = await localTracer.trace(...args);
        if (++traces === nth) notify();
        return traced;
      },
    },
  };
}

describe.each(["wasm", "native"] as const)("a growth run on %s, stopped", (engine) => {
  let backend: Backend;
  let whole: Trail;
  const options = (): RunSetup => ({ ...optionsFor(backend), kernels: KERNELS_AT_ONCE });
  beforeAll(async () => {
    ({ backend } = await openBackend(engine, { threads: 1 }));
    whole = await run(options());
  });

  async function stopped(how: Stop): Promise<RunCheckpoint> {
    const stop = new AbortController();
    const { result } = await run({ ...options(), signal: stop.signal, ...how(stop) });
    expect(result.end).toBe("aborted");
    expect(result.steps).toBeLessThan(whole.result.steps);
    return result.checkpoint;
  }

  async function expectSameEnd(resume: RunCheckpoint): Promise<void> {
    const rest = await run({ ...options(), resume });
    expect(rest.result.checkpoint.tensors).toEqual(whole.result.checkpoint.tensors);
    expect(rest.losses).toEqual(whole.losses.slice(whole.losses.length - rest.losses.length));
    expect(rest.result.flopsTotal).toBe(whole.result.flopsTotal);
    expect(rest.result.commands).toEqual(whole.result.commands);
  }

  test("while its kernel is on the way", async () => {
    const checkpoint = await stopped((stop) => afterGermination(7, () => stop.abort()));
    expect(checkpoint.kasmina.plan.changes).toMatchObject([{ intent: { kind: "attach" } }]);
    await expectSameEnd(checkpoint);
  });

  test("while it waits for a kernel that is due", async () => {
    const { leadSteps } = parseConfig();
    const checkpoint = await stopped((stop) =>
      // Training goes no further than this step, however late the stop comes.
      afterGermination(leadSteps, () => setTimeout(() => stop.abort(), 200)),
    );
    const [{ effectiveStep } = { effectiveStep: 0 }] = checkpoint.kasmina.plan.changes;
    expect(effectiveStep).toBe(checkpoint.step);
    await expectSameEnd(checkpoint);
  });

  test.each([1, 3, 5, 6])("in the middle of trace %i", async (nth) => {
    await expectSameEnd(await stopped((stop) => atTrace(nth, () => stop.abort())));
  });

  test.each([1, 20])("in the middle of evaluation %i", async (nth) => {
    let evaluations = 0;
    const checkpoint = await stopped((stop) => ({
      backend: watchingEvaluations(backend, () => {
        if (++evaluations === nth) stop.abort();
      }),
    }));
    expect(checkpoint.observationDue).toBe(true);
    await expectSameEnd(checkpoint);
  });
});
