/** Activation functions, by the formulas of https://onnx.ai/onnx/operators/ */
import { lax, nn, numpy as np } from "@jax-js/jax";
import type { JaxArray } from "../../../trace.js";
import type { NodeContext } from "../node-context.js";
import { traced } from "../value.js";
import { type Operator, operator } from "./rule.js";

function activation(compute: (x: JaxArray, node: NodeContext) => JaxArray): Operator {
  return operator((node) => traced("float32", compute(node.floats(0), node)));
}

/** A choice, so that x has two uses with and without gradients: then a forward pass has the same bits in both. */
export function relu(x: JaxArray): JaxArray {
  return np.where(x.ref.less(0), 0, x);
}

/** tanh(x) = 2σ(2x) − 1. */
export function tanh(x: JaxArray): JaxArray {
  return nn.sigmoid(x.mul(2)).mul(2).sub(1);
}

/** ln(1 + eˣ), which neither overflows nor loses small values. */
export function softplus(x: JaxArray): JaxArray {
  const magnitude = np.where(x.ref.less(0), x.ref, x.ref.neg());
  return relu(x).add(np.log(np.exp(magnitude).add(1)));
}

/** min(1, max(0, αx + β)). */
export function hardSigmoid(x: JaxArray, alpha: number, beta: number): JaxArray {
  const line = x.mul(alpha).add(beta);
  const raised = np.where(line.ref.less(0), 0, line);
  return np.where(raised.ref.greater(1), 1, raised);
}

/** eˣ − 1 for x < 0 only: elsewhere it could be infinite, and its gradient with it. */
function exponentialTail(x: JaxArray): JaxArray {
  return np.exp(np.where(x.ref.less(0), x, 0)).sub(1);
}

/** x·Φ(x), or its tanh form (Hendrycks & Gimpel 2016, arXiv:1606.08415). */
function gelu(x: JaxArray, form: string): JaxArray {
  if (form === "none") {
    const phi = (lax.erf(x.ref.mul(Math.SQRT1_2)) as JaxArray).add(1).mul(0.5);
    return x.mul(phi);
  }
  const cubic = np.square(x.ref).mul(x.ref).mul(0.044715);
  const inner = x.ref.add(cubic).mul(Math.sqrt(2 / Math.PI));
  return x.mul(tanh(inner).add(1).mul(0.5));
}

/** max(0, x) + slope·min(0, x). */
function leaky(x: JaxArray, slope: number | JaxArray): JaxArray {
  return np.where(x.ref.less(0), x.ref.mul(slope), x);
}

const SELU = { alpha: 1.6732632, gamma: 1.050701 } as const;

export const activationOperators = {
  Relu: activation(relu),
  Sigmoid: activation((x) => nn.sigmoid(x)),
  Tanh: activation(tanh),
  Softplus: activation(softplus),
  Softsign: activation((x) => x.ref.mul(np.reciprocal(np.where(x.ref.less(0), x.ref.neg(), x).add(1)))),
  HardSigmoid: activation((x, node) => hardSigmoid(x, node.float("alpha", 0.2), node.float("beta", 0.5))),
  HardSwish: activation((x) => x.ref.mul(hardSigmoid(x, 1 / 6, 0.5))),
  Swish: activation((x, node) => x.ref.mul(nn.sigmoid(x.mul(node.float("alpha", 1))))),
  Mish: activation((x) => x.ref.mul(tanh(softplus(x)))),
  Gelu: activation((x, node) => gelu(x, node.oneOf("approximate", ["none", "tanh"]))),
  Elu: activation((x, node) =>
    np.where(x.ref.less(0), exponentialTail(x.ref).mul(node.float("alpha", 1)), x),
  ),
  Celu: activation((x, node) => {
    const alpha = node.float("alpha", 1);
    return np.where(x.ref.less(0), exponentialTail(x.ref.mul(1 / alpha)).mul(alpha), x);
  }),
  Selu: activation((x, node) => {
    const tail = exponentialTail(x.ref).mul(node.float("alpha", SELU.alpha));
    return np.where(x.ref.less(0), tail, x).mul(node.float("gamma", SELU.gamma));
  }),
  LeakyRelu: activation((x, node) => leaky(x, node.float("alpha", 0.01))),
  ThresholdedRelu: activation((x, node) => np.where(x.ref.greater(node.float("alpha", 1)), x, 0)),
  PRelu: operator((node) => traced("float32", leaky(node.floats(0), node.floats(1))), { weights: [1] }),
} satisfies Record<string, Operator>;
