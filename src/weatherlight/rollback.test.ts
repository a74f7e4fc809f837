import { describe, expect, test } from "vitest";
import type { TelemetryEvent, Tensor } from "../contracts/index.js";
import { makeSpirals } from "../data/index.js";
import { type Backend, createWasmBackend } from "../engine/index.js";
import { resmlp } from "../nn/index.js";
import { type GrowOptions, grow } from "./grow.js";

const dataset = makeSpirals({ seed: 3 });

/** A back end whose training step, once, at `step`, does what `spoil` says to the outputs and the state. */
function spoiling(backend: Backend, steps: readonly number[], path: string): Backend {
  let step = 0;
  return new Proxy(backend, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (key !== "compile") return typeof value === "function" ? value.bind(target) : value;
      return async (traced: Parameters<Backend["compile"]>[0]) => {
        const program = await target.compile(traced);
        if (traced.definition.name !== "training step") return program;
        return {
          traced,
          dispose: () => program.dispose(),
          run: async (...[state, batch, controls]: Parameters<typeof program.run>) => {
            if (steps.includes(step++)) {
              const [old] = Object.values(await state.read([path])) as [Tensor];
              state.write({ [path]: { ...old, data: new Float32Array(old.data.length).fill(Number.NaN) } });
            }
            return program.run(state, batch, controls);
          },
        };
      };
    },
  });
}

function optionsFor(backend: Backend, events: TelemetryEvent[]): GrowOptions {
  return {
    runId: "rollback",
    host: resmlp({ ...dataset, width: 8 }),
    dataset,
    backend,
    epochs: 4,
    batch: 60,
    policy: null,
    onEvent: (event) => void (event.level === "INFO" || events.push(event)),
  };
}

describe("a NaN in the host's parameters", () => {
  test("is rolled back, the run goes on, and the events tell it", async () => {
    const events: TelemetryEvent[] = [];
    const backend = spoiling(await createWasmBackend(), [55], "host/block1/up");
    const result = await grow(optionsFor(backend, events));
    expect(result.end).toBe("finished");
    expect(result.testLoss).toBeLessThan(1);
    expect(events).toEqual([
      expect.objectContaining({
        name: "rollback_restored",
        attributes: expect.objectContaining({
          restored: true,
          source: "memory",
          step: 55,
          restored_step: 40,
        }),
      }),
    ]);
  });

  test("before there is anything to return to ends the run with one clear error", async () => {
    const backend = spoiling(await createWasmBackend(), [3], "host/block1/up");
    await expect(grow(optionsFor(backend, []))).rejects.toThrow(/the loss is NaN at step 3/);
  });

  test("that comes back at once, again and again, ends the run", async () => {
    const backend = spoiling(await createWasmBackend(), [45, 46, 47, 48, 49], "host/block1/up");
    await expect(grow(optionsFor(backend, []))).rejects.toThrow(/again after 3 rollbacks/);
  });
});
