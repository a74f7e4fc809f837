/** The native back end against the WebAssembly one, primitive by primitive. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Tensor } from "../../contracts/tensor.js";
import { definitionOf, evaluate } from "../backend.conformance.js";
import type { Backend } from "../backend.js";
import { PRIMITIVES, type Primitive } from "../ir.js";
import { PRIMITIVE_CASES, type PrimitiveCase } from "../primitives.conformance.js";
import { trace } from "../trace.js";
import { createWasmBackend } from "../wasm.js";
import { createNativeBackend } from "./native-backend.js";

/** Rows of the lowering table that name what they cannot do. */
const UNSUPPORTED: ReadonlySet<Primitive> = new Set([
  "triangular_solve",
  "cholesky",
  "lu",
  "jacobi_eigh",
  "fft",
]);

let wasm: Backend;
let native: Backend;
beforeAll(async () => {
  wasm = await createWasmBackend();
  native = await createNativeBackend({ threads: 2 });
});
afterAll(async () => {
  await wasm.dispose();
  await native.dispose();
});

const cases = PRIMITIVES.flatMap((primitive) =>
  PRIMITIVE_CASES[primitive].map((one, i) => ({ name: `${primitive} ${i + 1}`, primitive, ...one })),
);

test("every primitive has a program", () => {
  expect(PRIMITIVES.filter((primitive) => PRIMITIVE_CASES[primitive].length === 0)).toEqual([]);
});

describe("native and wasm agree", () => {
  test.each(cases.filter(({ primitive }) => !UNSUPPORTED.has(primitive)))("$name", async ({
    primitive,
    inputs,
    run,
    tolerance = 1e-5,
  }) => {
    expect(primitivesOf(inputs, run)).toContain(primitive);
    const expected = await evaluate(wasm, inputs, run);
    const actual = await evaluate(native, inputs, run);
    expect(actual.length).toBe(expected.length);
    for (const [i, tensor] of actual.entries()) expectClose(tensor, expected[i] as Tensor, tolerance);
  });

  test.each(
    cases.filter(({ primitive }) => UNSUPPORTED.has(primitive)),
  )("$name is one error that names function, primitive and shapes", async ({ primitive, inputs, run }) => {
    expect(primitivesOf(inputs, run)).toContain(primitive);
    await expect(evaluate(native, inputs, run, "my step")).rejects.toThrow(
      new RegExp(`lowering my step: the native engine has no ${primitive}\\(float32\\[[\\d,]+\\]`),
    );
  });
});

function primitivesOf(inputs: readonly Tensor[], run: PrimitiveCase["run"]): Primitive[] {
  const traced = trace(definitionOf("function", inputs, run));
  return traced.ir.equations.map((equation) => equation.primitive);
}

function expectClose(actual: Tensor, expected: Tensor, tolerance: number): void {
  expect({ shape: actual.shape, dtype: actual.dtype }).toEqual({
    shape: expected.shape,
    dtype: expected.dtype,
  });
  const differs = [...actual.data].flatMap((value, i) => {
    const wanted = expected.data[i] ?? Number.NaN;
    const same =
      Object.is(value + 0, wanted + 0) ||
      Math.abs(value - wanted) <= tolerance * Math.max(1, Math.abs(wanted));
    return same ? [] : [`[${i}] ${value} instead of ${wanted}`];
  });
  expect(differs).toEqual([]);
}
