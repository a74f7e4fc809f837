/** Floating point operations of a program, counted from its IR: one an output element, two a multiply–add. */

import { sizeOf } from "../contracts/tensor.js";
import type { Atom, Equation, Ir, ParamsOf } from "./ir.js";

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

/** FLOPs of one run of the program; of it as it would be if it had these outputs alone. */
export function countFlops(ir: Ir, outputs: readonly Atom[] = ir.outputs): number {
  const needed = new Set(outputs.flatMap((atom) => (atom.kind === "variable" ? atom.id : [])));
  let flops = 0;
  // Backwards: an equation is needed where one after it, or an output, reads what it gives.
  for (const equation of ir.equations.toReversed()) {
    if (!equation.outputs.some(({ id }) => needed.has(id))) continue;
    for (const atom of equation.inputs) if (atom.kind === "variable") needed.add(atom.id);
    flops += flopsOf(equation);
  }
  return flops;
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
