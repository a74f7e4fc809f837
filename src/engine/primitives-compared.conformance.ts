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
  /** What gives other values by more than the tolerance, and is documented to. Default: nothing. */
  readonly differs?: (one: NamedCase) => boolean;
  /** Largest relative difference of a program with these primitives, where its case allows for less. */
  readonly toleranceOf?: (primitives: ReadonlySet<Primitive>) => number | undefined;
}

export interface NamedCase extends PrimitiveCase {
  /** `mod 2`: the second case of mod. */
  readonly name: string;
  readonly primitive: Primitive;
}

/** On a GPU: WGSL wants 2⁻¹¹ of sin and cos, SwiftShader's are within 2e-4; a sum of many in a gradient is that much farther off. */
export function wgslTolerance(primitives: ReadonlySet<Primitive>): number | undefined {
  if (!primitives.has("sin") && !primitives.has("cos")) return undefined;
  return primitives.has("conv") ? 2e-3 : 2e-4;
}

const CASES: readonly NamedCase[] = PRIMITIVES.flatMap((primitive) =>
  PRIMITIVE_CASES[primitive].map((one, i) => ({ name: `${primitive} ${i + 1}`, primitive, ...one })),
);

/** Declares the suite. What is refused must be refused in the words given. */
export function describeComparison(
  name: string,
  open: () => Promise<Backend>,
  { refused, differs = () => false, toleranceOf = () => undefined }: Comparison,
): void {
  describe(`${name} and wasm agree`, () => {
    const engines = againstWasm(open);

    test("every primitive has a program", () => {
      expect(PRIMITIVES.filter((primitive) => PRIMITIVE_CASES[primitive].length === 0)).toEqual([]);
    });

    /** The elements that are too far apart, over all outputs. */
    async function compare({ primitive, inputs, run, ...one }: NamedCase): Promise<string[]> {
      const primitives = primitivesOf(inputs, run);
      expect([...primitives]).toContain(primitive);
      const tolerance = Math.max(one.tolerance ?? 1e-5, toleranceOf(primitives) ?? 0);
      const expected = await evaluate(engines.wasm, inputs, run);
      const actual = await evaluate(engines.backend, inputs, run);
      expect(actual.length).toBe(expected.length);
      return actual.flatMap((tensor, i) => differences(tensor, expected[i] as Tensor, tolerance));
    }

    const ran = CASES.filter((one) => !refused(one));
    test.each(ran.filter((one) => !differs(one)))("$name", async (one) => {
      expect(await compare(one)).toEqual([]);
    });

    test.each(ran.filter(differs))("$name differs, as is documented", async (one) => {
      expect(await compare(one)).not.toEqual([]);
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

/** @returns one line an element that is too far off */
function differences(actual: Tensor, expected: Tensor, tolerance: number): string[] {
  expect({ shape: actual.shape, dtype: actual.dtype }).toEqual({
    shape: expected.shape,
    dtype: expected.dtype,
  });
  // Whole numbers and bool have no rounding to differ in.
  const allowed = expected.dtype === "float32" ? tolerance : 0;
  return [...actual.data].flatMap((value, i) => {
    const wanted = expected.data[i] ?? Number.NaN;
    const same =
      Object.is(value + 0, wanted + 0) || Math.abs(value - wanted) <= allowed * Math.max(1, Math.abs(wanted));
    return same ? [] : [`[${i}] ${value} instead of ${wanted}`];
  });
}
