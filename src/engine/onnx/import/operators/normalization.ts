/** Normalizations, each over its own axes, and softmax. */
import { nn, numpy as np } from "@jax-js/jax";
import { sizeOf } from "../../../../contracts/tensor.js";
import type { JaxArray } from "../../../trace.js";
import { traced } from "../value.js";
import { axisOf, type Operator, type OperatorRule, operator, range } from "./rule.js";

/** To mean 0 and variance 1 over `axes`. Consumes x. */
function standardized(x: JaxArray, axes: number[], epsilon: number): JaxArray {
  const centred = x.ref.sub(x.mean(axes, { keepdims: true }));
  const variance = np.square(centred.ref).mean(axes, { keepdims: true });
  return centred.mul(np.reciprocal(np.sqrt(variance.add(epsilon))));
}

/** [channels] as it broadcasts against [batch, channels, …]. */
function perChannel(x: JaxArray, rank: number): JaxArray {
  return x.reshape([1, -1, ...Array.from({ length: rank - 2 }, () => 1)]);
}

/** By running statistics, which never learn: a factor and an offset a channel. */
const batchNormalization: OperatorRule = (node) => {
  node.ignore("momentum");
  node.oneOf("spatial", [1]);
  if (node.oneOf("training_mode", [0, 1]) === 1 || node.node.outputs.slice(1).some((name) => name !== "")) {
    throw new RangeError("it is in training mode; export the model in evaluation mode");
  }
  const x = node.floats(0);
  const [scale, shift, mean, variance] = [node.floats(1), node.floats(2), node.floats(3), node.floats(4)];
  const factor = scale.mul(np.reciprocal(np.sqrt(variance.add(node.float("epsilon", 1e-5)))));
  const offset = shift.sub(mean.mul(factor.ref));
  return traced("float32", x.ref.mul(perChannel(factor, x.ndim)).add(perChannel(offset, x.ndim)));
};

const instanceNormalization: OperatorRule = (node) => {
  const x = node.floats(0);
  const { ndim } = x;
  const spatial = range(ndim - 2).map((d) => d + 2);
  const normal = standardized(x, spatial, node.float("epsilon", 1e-5));
  return traced(
    "float32",
    normal.mul(perChannel(node.floats(1), ndim)).add(perChannel(node.floats(2), ndim)),
  );
};

/** Scale and shift are per group before operator set 21, per channel from then on. */
function groupNormalization(isPerChannel: boolean): OperatorRule {
  return (node) => {
    node.ignore("stash_type");
    const x = node.floats(0);
    const [batch = 1, channels = 1, ...sizes] = x.shape;
    const groups = node.int("num_groups", 1);
    const cut = x.reshape([batch, groups, (channels / groups) * sizeOf(sizes)]);
    const normal = standardized(cut, [2], node.float("epsilon", 1e-5));
    const [scale, shift] = [node.floats(1), node.floats(2)];
    if (isPerChannel) {
      const whole = normal.reshape([batch, channels, ...sizes]);
      return traced("float32", whole.mul(perChannel(scale, whole.ndim)).add(perChannel(shift, whole.ndim)));
    }
    const scaled = normal.mul(scale.reshape([1, groups, 1])).add(shift.reshape([1, groups, 1]));
    return traced("float32", scaled.reshape([batch, channels, ...sizes]));
  };
}

const layerNormalization: OperatorRule = (node) => {
  node.ignore("stash_type");
  const x = node.floats(0);
  const { ndim } = x;
  const axis = axisOf(node.int("axis", -1), ndim);
  const over = range(ndim - axis).map((d) => d + axis);
  const scaled = standardized(x, over, node.float("epsilon", 1e-5)).mul(node.floats(1));
  const shift = node.optionalArray(2);
  return traced("float32", shift ? scaled.add(shift) : scaled);
};

/** By the root of the mean square, without centring. */
const rmsNormalization: OperatorRule = (node) => {
  node.ignore("stash_type");
  const x = node.floats(0);
  const axis = axisOf(node.int("axis", -1), x.ndim);
  const over = range(x.ndim - axis).map((d) => d + axis);
  const square = np.square(x.ref).mean(over, { keepdims: true });
  const normal = x.mul(np.reciprocal(np.sqrt(square.add(node.float("epsilon", 1e-5)))));
  return traced("float32", normal.mul(node.floats(1)));
};

const lpNormalization: OperatorRule = (node) => {
  const x = node.floats(0);
  const axis = axisOf(node.int("axis", -1), x.ndim);
  const isSquare = node.oneOf("p", [2, 1]) === 2;
  const size = isSquare
    ? np.sqrt(np.square(x.ref).sum(axis, { keepdims: true }))
    : np.where(x.ref.less(0), x.ref.neg(), x.ref).sum(axis, { keepdims: true });
  return traced("float32", x.mul(np.reciprocal(size)));
};

/** Over all axes from one on before operator set 13 (by default from the second), over one axis from then on. */
function softmax(compute: (x: JaxArray) => JaxArray): Operator {
  return {
    versions: [
      {
        since: 1,
        rule: (node) => {
          const x = node.floats(0);
          const { shape } = x;
          const axis = axisOf(node.int("axis", 1), shape.length);
          const flat = x.reshape([sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis))]);
          return traced("float32", compute(flat).reshape(shape));
        },
      },
      {
        since: 13,
        rule: (node) => {
          const x = node.floats(0);
          const axis = axisOf(node.int("axis", -1), x.ndim);
          if (axis === x.ndim - 1) return traced("float32", compute(x));
          return traced("float32", np.moveaxis(compute(np.moveaxis(x, axis, -1)), -1, axis));
        },
      },
    ],
  };
}

export const normalizationOperators = {
  BatchNormalization: operator(batchNormalization, {
    weights: [1, 2],
    statistics: [3, 4],
    except: "training mode",
  }),
  InstanceNormalization: operator(instanceNormalization, { weights: [1, 2] }),
  GroupNormalization: {
    versions: [
      { since: 18, rule: groupNormalization(false) },
      { since: 21, rule: groupNormalization(true) },
    ],
    weights: [1, 2],
  },
  LayerNormalization: operator(
    layerNormalization,
    { weights: [1, 2], except: "mean and deviation as outputs" },
    17,
  ),
  RMSNormalization: operator(rmsNormalization, { weights: [1] }, 23),
  LpNormalization: operator(lpNormalization),
  Softmax: softmax((x) => nn.softmax(x, -1)),
  LogSoftmax: softmax((x) => nn.logSoftmax(x, -1)),
} satisfies Record<string, Operator>;
