/** A back end against the WebAssembly one, primitive by primitive. */
import { describe, expect, test } from "vitest";
import type { Tensor } from "../contracts/tensor.js";
import { againstWasm } from "./against-wasm.conformance.js";
import { definitionOf, evaluate } from "./backend.conformance.js";
import type { Backend } from "./backend.js";
import { PRIMITIVES, type Primitive } from "./ir.js";
import { PRIMITIVE_CASES, type PrimitiveCase } from "./primitives.conformance.js";
import { trace } from "./trace.js";

export interface Comparison {
  /** How a refusal begins, after the program's name. */
  readonly refused: (one: NamedCase) => RegExp | undefined;
  /** Largest relative difference of a program with these primitives, where its case allows for less. */
  readonly toleranceOf?: (primitives: ReadonlySet<Primitive>) => number | undefined;
}

export interface NamedCase extends PrimitiveCase {
  /** `mod 2`: the second case of mod. */
  readonly name: string;
  readonly primitive: Primitive;
}

const CASES: readonly NamedCase[] = PRIMITIVES.flatMap((primitive) =>
  PRIMITIVE_CASES[primitive].map((one, i) => ({ name: `${primitive} ${i + 1}`, primitive, ...one })),
);

/** Declares the suite. What is refused must be refused in the words given. */
export function describeComparison(
  name: string,
  open: () => Promise<Backend>,
  { refused, toleranceOf = () => undefined }: Comparison,
): void {
  describe(`${name} and wasm agree`, () => {
    const engines = againstWasm(open);

    test("every primitive has a program", () => {
      expect(PRIMITIVES.filter((primitive) => PRIMITIVE_CASES[primitive].length === 0)).toEqual([]);
    });

    test.each(CASES.filter((one) => !refused(one)))("$name", async ({ primitive, inputs, run, ...one }) => {
      const primitives = primitivesOf(inputs, run);
      expect([...primitives]).toContain(primitive);
      const tolerance = Math.max(one.tolerance ?? 1e-5, toleranceOf(primitives) ?? 0);
      const expected = await evaluate(engines.wasm, inputs, run);
      const actual = await evaluate(engines.backend, inputs, run);
      expect(actual.length).toBe(expected.length);
      for (const [i, tensor] of actual.entries()) expectClose(tensor, expected[i] as Tensor, tolerance);
    });

    test.each(
      CASES.filter(refused),
    )("$name is one error that names function, primitive and shapes", async (one) => {
      const { primitive, inputs, run } = one;
      expect([...primitivesOf(inputs, run)]).toContain(primitive);
      await expect(evaluate(engines.backend, inputs, run, "my step")).rejects.toThrow(refused(one));
    });
  });
}

function primitivesOf(inputs: readonly Tensor[], run: PrimitiveCase["run"]): ReadonlySet<Primitive> {
  const traced = trace(definitionOf("function", inputs, run));
  return new Set(traced.ir.equations.map((equation) => equation.primitive));
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
