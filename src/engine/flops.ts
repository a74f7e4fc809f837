/** Floating point operations of a program, counted from its IR: one an output element, two a multiply–add. */

import { sizeOf } from "../contracts/tensor.js";
import type { Equation, Ir, ParamsOf } from "./ir.js";

/** Primitives that move, select or reinterpret values and compute nothing. */
const FREE: ReadonlySet<string> = new Set([
  "stop_gradient",
  "bitcast",
  "where",
  "concatenate",
  "split",
  "gather",
  "random_bits",
  "pool",
  "transpose",
  "broadcast",
  "reshape",
  "flip",
  "shrink",
  "pad",
  "cast",
  "bit_combine",
  "bit_shift",
  "bit_count",
]);

/** FLOPs of one run of the program. */
export function countFlops(ir: Ir): number {
  return ir.equations.reduce((sum, equation) => sum + flopsOf(equation), 0);
}

function flopsOf(equation: Equation): number {
  if (FREE.has(equation.primitive)) return 0;
  const outputSize = equation.outputs.reduce((sum, output) => sum + sizeOf(output.shape), 0);
  const inputSize = equation.inputs.reduce((sum, input) => Math.max(sum, sizeOf(input.shape)), 0);
  switch (equation.primitive) {
    case "dot": {
      const last = Math.max(...equation.inputs.map((input) => input.shape.at(-1) ?? 1));
      return 2 * outputSize * last;
    }
    case "conv":
      return 2 * outputSize * taps(equation as Equation<"conv">);
    case "reduce":
    case "pool_transpose":
    case "scatter":
      return inputSize;
    default:
      return outputSize;
  }
}

/** Multiply–adds per output element: filter elements that meet one output channel. */
function taps(equation: Equation<"conv">): number {
  const filter = equation.inputs[1]?.shape ?? [];
  const { vmapDims } = equation.params as ParamsOf<"conv">;
  return sizeOf(filter.slice(vmapDims + 1));
}
