import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { float32, scalar } from "../contracts/index.js";
import {
  type Backend,
  createWasmBackend,
  type ProgramDefinition,
  trace,
  wholePower,
} from "../engine/index.js";
import { createNativeBackend } from "../engine/native/index.js";
import { countPaths, scalarVectors, tracedUpdate } from "../engine/update/traced-update.js";
import { describeOptimizers, type Execution } from "./optimizers.conformance.js";
import { OPTIMIZERS } from "./optimizers.js";
import { optimizerSpecs, updatePlan } from "./train-step.js";

const BACKENDS = { native: () => createNativeBackend({ threads: 1 }), wasm: createWasmBackend };

function mapValues<A, B>(values: Readonly<Record<string, A>>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, map(value)]));
}

describe.each(["native", "wasm"] as const)("optimizers on %s", (name) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await BACKENDS[name]();
  });
  afterAll(() => backend.dispose());

  /** The gradients are given, and the back end updates by them. */
  const kernel: Execution = async (plan, specs, start, gradients, controls) => {
    const definition: ProgramDefinition = {
      name: "given gradients",
      state: specs,
      batch: specs,
      controls: {},
      update: plan,
      run: (_state, given) => ({ state: {}, gradients: given, outputs: {} }),
    };
    const program = await backend.compile(trace(definition));
    const state = backend.createState();
    state.write(start);
    for (const batch of gradients) await program.run(state, batch, controls);
    return state.read();
  };

  /** The update is a program of its own. */
  const traced: Execution = async (plan, specs, start, gradients, controls) => {
    const program = await backend.compile(trace(tracedUpdate(plan, specs)));
    const state = backend.createState();
    state.write(start);
    const counts = mapValues(await state.read(countPaths(plan)), ({ data }) => data[0] ?? Number.NaN);
    for (const batch of gradients) {
      for (const path of Object.keys(counts)) counts[path] = (counts[path] ?? Number.NaN) + 1;
      await program.run(state, batch, scalarVectors(plan, controls, counts, "update"));
    }
    state.write(mapValues(counts, scalar));
    return state.read();
  };

  describe("by the kernel", () => describeOptimizers(kernel, true));

  test("modules that were updated more or less often go by their own count, at every rate", async () => {
    const updated = async (paths: readonly string[]) => {
      const specs = Object.fromEntries(
        paths.map((path) => [path, { shape: [3], dtype: "float32" as const }]),
      );
      const program = await backend.compile(
        trace({
          name: "constant gradients",
          state: specs,
          batch: {},
          controls: {},
          update: updatePlan(OPTIMIZERS.adam, paths),
          run: (state) => ({ state: {}, gradients: mapValues(state, (p) => p.mul(2)), outputs: {} }),
        }),
      );
      const state = backend.createState();
      const fresh = optimizerSpecs(OPTIMIZERS.adam, specs);
      state.write(mapValues({ ...specs, ...fresh }, ({ shape }) => float32(shape, 1)));
      // One module is an update ahead of the other.
      if (paths.includes("host/b/w")) state.write({ "optimizer/count/host/b": scalar(2) });
      for (const lr of [0.1, 0.01, 0.001]) {
        const controls = { lr, momentum: 0.9, weight_decay: 0 };
        await program.run(
          state,
          {},
          Object.fromEntries(Object.entries(controls).map(([k, v]) => [`optimizer/host/${k}`, scalar(v)])),
        );
      }
      return state.read();
    };
    const together = await updated(["host/a/w", "host/b/w"]);
    expect(together).toEqual({ ...(await updated(["host/a/w"])), ...(await updated(["host/b/w"])) });
  });

  describe("traced", () => describeOptimizers(traced, false));
});

test("a whole power is the product", () => {
  for (const exponent of [0, 1, 2, 3, 10, 37])
    expect(wholePower(0.9, exponent)).toBeCloseTo(0.9 ** exponent, 14);
  expect(wholePower(0.999, 2 ** 24)).toBe(0);
});

/** The learning rate of a seed. */
test.each([
  ["sgd", 0.05, 0.05],
  ["adam", 0.0005, 0.0015],
  ["adamw", 0.01, 0.003],
] as const)("%s: a seed beside a host of %d learns at %d", (id, baseRate, rate) => {
  expect(OPTIMIZERS[id].seedRate(baseRate)).toBeCloseTo(rate, 9);
});
