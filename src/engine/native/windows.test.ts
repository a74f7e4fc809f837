/** Convolutions as layers write them: windows of a padded tensor, joined, times a matrix; and their gradients. */
import { grad, numpy as np } from "@jax-js/jax";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { float32, sizeOf, type Tensor, type TensorSpec } from "../../contracts/tensor.js";
import { evaluate } from "../backend.conformance.js";
import type { Backend } from "../backend.js";
import { createWasmBackend } from "../jax-backend.js";
import type { JaxArray } from "../trace.js";
import { createNativeBackend } from "./native-backend.js";
import { operators } from "./operators.fixture.js";

interface Convolution {
  readonly batch: number;
  readonly size: readonly [number, number];
  readonly channels: number;
  readonly outputs: number;
  readonly window: readonly [number, number];
  /** Zeros before and after, the same for both dimensions. */
  readonly padding: readonly [number, number];
}

const CONV_3X3: Convolution = {
  batch: 2,
  size: [6, 5],
  channels: 4,
  outputs: 3,
  window: [3, 3],
  padding: [1, 1],
};

/** x [batch, height, width, channels], w [outputs, window · channels]. */
function convolve({ size, window, padding, outputs, batch }: Convolution, x: JaxArray, w: JaxArray) {
  const widths = [[0, 0], [...padding], [...padding], [0, 0]] as [number, number][];
  const padded = np.pad(x, widths);
  const counts = size.map((one, d) => one + padding[0] + padding[1] - (window[d] ?? 1) + 1);
  const [rows = 0, columns = 0] = counts;
  const pieces = range(window[0]).flatMap((r) =>
    range(window[1]).map((c) => padded.ref.slice([], [r, r + rows], [c, c + columns])),
  );
  const patches = np.concatenate(pieces, -1).reshape([batch * rows * columns, -1]);
  padded.dispose();
  return np.matmul(patches, np.transpose(w)).reshape([batch, rows, columns, outputs]);
}

/** The gradients of a loss that weighs every output differently, and the loss itself. */
function gradients(convolution: Convolution) {
  const loss = (x: JaxArray, w: JaxArray): JaxArray => {
    const y = convolve(convolution, x, w);
    return np.sum(np.sin(y.ref).mul(y));
  };
  return (x: JaxArray, w: JaxArray): readonly JaxArray[] => {
    const both = grad(loss, { argnums: [0, 1] }) as unknown as (...xs: JaxArray[]) => JaxArray[];
    return [...both(x.ref, w.ref), convolve(convolution, x, w)];
  };
}

function specs({ batch, size, channels, outputs, window }: Convolution): [TensorSpec, TensorSpec] {
  return [
    { shape: [batch, ...size, channels], dtype: "float32" },
    { shape: [outputs, sizeOf(window) * channels], dtype: "float32" },
  ];
}

const convolution: fc.Arbitrary<Convolution> = fc
  .record({
    batch: fc.integer({ min: 1, max: 3 }),
    size: fc.tuple(fc.integer({ min: 3, max: 7 }), fc.integer({ min: 3, max: 7 })),
    channels: fc.integer({ min: 1, max: 5 }),
    outputs: fc.integer({ min: 1, max: 5 }),
    window: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
    padding: fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 2 })),
  })
  .filter(({ padding }) => padding[0] + padding[1] > 0);

describe("windows of one tensor", () => {
  test("are gathered in one go, and their gradient is windows again", () => {
    const ops = operators(specs(CONV_3X3), gradients(CONV_3X3));
    expect(ops.filter((op) => ["Gather", "Slice", "Split", "Concat", "Pad"].includes(op))).toEqual([
      "Pad",
      "Gather",
      "Pad",
      "Gather",
    ]);
    expect(ops.filter((op) => op === "Gemm").length).toBe(3);
  });

  test("of single elements are copied one window after the other", () => {
    const single: Convolution = { ...CONV_3X3, channels: 1 };
    const ops = operators(specs(single), (x, w) => convolve(single, x, w));
    expect(ops).toEqual(["Pad", ...Array(9).fill("Slice"), "Concat", "Gemm"]);
  });

  test("of a tensor too large for a table of places are joined slice by slice", () => {
    const large: Convolution = { ...CONV_3X3, batch: 1, size: [128, 128] };
    expect(operators(specs(large), (x, w) => convolve(large, x, w))).not.toContain("Gather");
  });

  test("and slices of different tensors are joined as they are", () => {
    const matrix: TensorSpec = { shape: [8, 4], dtype: "float32" };
    const ops = operators([matrix, matrix], (a, b) =>
      np.concatenate([a.ref.slice([0, 6]), a.slice([1, 7]), b.slice([2, 8])], -1),
    );
    expect(ops).toEqual(["Slice", "Slice", "Slice", "Concat"]);
  });

  test("a sum of padded pieces that are no whole product stays a sum", () => {
    const matrix: TensorSpec = { shape: [4, 6], dtype: "float32" };
    const square: TensorSpec = { shape: [6, 6], dtype: "float32" };
    const ops = operators([matrix, square], (a, b) => {
      const [first, , last] = np.split(np.matmul(a, b), 3, -1) as [JaxArray, JaxArray, JaxArray];
      const before = np.pad(first, [
        [1, 0],
        [0, 0],
      ] as [number, number][]);
      const after = np.pad(last, [
        [0, 1],
        [0, 0],
      ] as [number, number][]);
      return before.add(after).slice([1, 4]);
    });
    expect(ops).toContain("Add");
  });
});

describe("native and wasm agree on", () => {
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

  test("convolutions of any window, padding and number of channels, and on their gradients", async () => {
    await fc.assert(
      fc.asyncProperty(convolution, async (one) => {
        const inputs = specs(one).map(({ shape }, i) => filled(shape, i));
        const run = gradients(one);
        const [expected, actual] = [await evaluate(wasm, inputs, run), await evaluate(native, inputs, run)];
        expect(actual.map(({ shape }) => shape)).toEqual(expected.map(({ shape }) => shape));
        for (const [i, { data }] of actual.entries()) {
          const wanted = [...(expected[i] as Tensor).data];
          const error = Math.max(...wanted.map((value, j) => Math.abs(value - (data[j] ?? Number.NaN))));
          expect(error).toBeLessThan(1e-4);
        }
      }),
      { numRuns: 40 },
    );
  });
});

function filled(shape: readonly number[], seed: number): Tensor {
  return float32(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, (_, i) => (((i + 1) * (37 + 14 * seed)) % 101) / 100 - 0.5),
  );
}

function range(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}
