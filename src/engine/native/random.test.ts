/** Random programs, and their gradients, on both back ends. */
import { grad } from "@jax-js/jax";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Tensor } from "../../contracts/tensor.js";
import { evaluate } from "../backend.conformance.js";
import type { Backend } from "../backend.js";
import { randomProgram } from "../random-program.conformance.js";
import type { JaxArray } from "../trace.js";
import { createWasmBackend } from "../wasm.js";
import { createNativeBackend } from "./native-backend.js";

let wasm: Backend;
let native: Backend;
beforeAll(async () => {
  wasm = await createWasmBackend();
  native = await createNativeBackend({ threads: 1 });
});
afterAll(async () => {
  await wasm.dispose();
  await native.dispose();
});

function worstDifference(actual: readonly Tensor[], expected: readonly Tensor[]): number {
  expect(actual.map(({ shape }) => shape)).toEqual(expected.map(({ shape }) => shape));
  const differences = actual.flatMap((tensor, i) =>
    [...tensor.data].map((value, j) => {
      const wanted = expected[i]?.data[j] ?? Number.NaN;
      return Math.abs(value - wanted) / Math.max(1, Math.abs(wanted));
    }),
  );
  return Math.max(...differences);
}

test("random programs agree", async () => {
  await fc.assert(
    fc.asyncProperty(randomProgram, async ({ inputs, run }) => {
      const difference = worstDifference(
        await evaluate(native, inputs, run),
        await evaluate(wasm, inputs, run),
      );
      expect(difference).toBeLessThan(1e-4);
    }),
    { numRuns: 60, seed: 77 },
  );
});

test("gradients of random programs agree", async () => {
  await fc.assert(
    fc.asyncProperty(randomProgram, async ({ inputs, run }) => {
      const gradient = (...arrays: JaxArray[]): JaxArray => {
        const [first, ...rest] = arrays;
        if (!first) throw new RangeError("no input");
        return grad((x: JaxArray) => {
          const results = run(x, ...rest);
          const sum = results.at(-1);
          if (!sum) throw new RangeError("no result");
          for (const result of results.slice(0, -1)) result.dispose();
          return sum;
        })(first);
      };
      const difference = worstDifference(
        await evaluate(native, inputs, gradient),
        await evaluate(wasm, inputs, gradient),
      );
      expect(difference).toBeLessThan(1e-4);
    }),
    { numRuns: 30, seed: 111 },
  );
});
