/** Matrix products: https://onnx.ai/onnx/operators/ */
import { numpy as np } from "@jax-js/jax";
import type { JaxArray } from "../../../trace.js";
import { traced } from "../value.js";
import { type Operator, operator, type OperatorRule } from "./rule.js";

/** x·y of any ranks. A matrix on the right multiplies all rows at once: one product and not one a batch. Consumes both. */
export function matmul(x: JaxArray, y: JaxArray): JaxArray {
  if (x.ndim <= 2 || y.ndim !== 2) return np.matmul(x, y);
  const lead = x.shape.slice(0, -1);
  const [inputs = 1, outputs = 1] = y.shape;
  if (x.shape.at(-1) !== inputs) throw new RangeError(`[${x.shape}] · [${y.shape}]`);
  return np.matmul(x.reshape([-1, inputs]), y).reshape([...lead, outputs]);
}

/** αA′B′ + βC. */
const gemm: OperatorRule = (node) => {
  const [a, b] = [node.floats(0), node.floats(1)];
  const left = node.oneOf("transA", [0, 1]) === 1 ? np.transpose(a) : a;
  const right = node.oneOf("transB", [0, 1]) === 1 ? np.transpose(b) : b;
  const alpha = node.float("alpha", 1);
  const beta = node.float("beta", 1);
  const product = np.matmul(left, right);
  const scaled = alpha === 1 ? product : product.mul(alpha);
  const c = node.optionalArray(2);
  if (!c) return traced("float32", scaled);
  return traced("float32", scaled.add(beta === 1 ? c : c.mul(beta)));
};

const einsum: OperatorRule = (node) => {
  const equation = node.string("equation", "").replaceAll(" ", "");
  if (equation.includes("...")) throw new RangeError(`its equation ${equation} has an ellipsis`);
  const arrays = node.allInputs().map((_, i) => node.floats(i));
  return traced("float32", np.einsum(equation, ...(arrays as [JaxArray])));
};

export const matrixOperators = {
  MatMul: operator((node) => traced("float32", matmul(node.floats(0), node.floats(1))), { weights: [0, 1] }),
  Gemm: operator(gemm, { weights: [0, 1, 2] }),
  Einsum: operator(einsum, { weights: "all", except: "an ellipsis in the equation" }),
} satisfies Record<string, Operator>;
