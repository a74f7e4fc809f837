/** Random programs, and their gradients, on a back end and on the WebAssembly one. */
import { grad } from "@jax-js/jax";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Tensor } from "../contracts/tensor.js";
import { againstWasm } from "./against-wasm.conformance.js";
import { evaluate } from "./backend.conformance.js";
import type { Backend } from "./backend.js";
import { randomProgram } from "./random-program.conformance.js";
import type { JaxArray } from "./trace.js";

export interface RandomRuns {
  readonly programs: number;
  readonly gradients: number;
}

/** Declares the suite. */
export function describeRandomPrograms(
  name: string,
  open: () => Promise<Backend>,
  { programs, gradients }: RandomRuns,
): void {
  describe(`${name} and wasm agree on`, () => {
    const engines = againstWasm(open);

    test("random programs", async () => {
      await fc.assert(
        fc.asyncProperty(randomProgram, async ({ inputs, run }) => {
          const difference = worstDifference(
            await evaluate(engines.backend, inputs, run),
            await evaluate(engines.wasm, inputs, run),
          );
          expect(difference).toBeLessThan(1e-4);
        }),
        { numRuns: programs, seed: 77 },
      );
    });

    test("the gradients of random programs", async () => {
      await fc.assert(
        fc.asyncProperty(randomProgram, async ({ inputs, run }) => {
          const gradient = gradientOf(run);
          const difference = worstDifference(
            await evaluate(engines.backend, inputs, gradient),
            await evaluate(engines.wasm, inputs, gradient),
          );
          expect(difference).toBeLessThan(1e-4);
        }),
        { numRuns: gradients, seed: 111 },
      );
    });
  });
}

function gradientOf(run: (...arrays: JaxArray[]) => readonly JaxArray[]) {
  return (...arrays: JaxArray[]): JaxArray => {
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
}

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
