/**
 * Resize and Upsample. Each dimension by itself: whole multiples of the nearest pixel are repetitions, everything else is a
 * product with a small matrix of weights.
 *
 * https://onnx.ai/onnx/operators/onnx__Resize.html
 */
import { numpy as np } from "@jax-js/jax";
import type { JaxArray } from "../../../trace.js";
import type { NodeContext } from "../node-context.js";
import { staticTensor } from "../static.js";
import { arrayOf, traced, type Value } from "../value.js";
import { axisOf, type Operator, type OperatorRule, range } from "./rule.js";

/** One dimension: from `size` to `length` elements, `scale` times as many. */
interface Stretch {
  readonly size: number;
  readonly length: number;
  readonly scale: number;
}

/** Where an element of the result lies in the input. */
type Coordinate = (x: number, stretch: Stretch) => number;

const COORDINATES = {
  half_pixel: (x, { scale }) => (x + 0.5) / scale - 0.5,
  asymmetric: (x, { scale }) => x / scale,
  align_corners: (x, { size, length }) => (length === 1 ? 0 : (x * (size - 1)) / (length - 1)),
  pytorch_half_pixel: (x, { length, scale }) => (length > 1 ? (x + 0.5) / scale - 0.5 : 0),
} as const satisfies Record<string, Coordinate>;

const NEAREST = {
  round_prefer_floor: (x: number) => Math.ceil(x - 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
  round_prefer_ceil: (x: number) => Math.floor(x + 0.5),
} as const;

interface Interpolation {
  readonly mode: "nearest" | "linear";
  readonly coordinate: Coordinate;
  readonly nearest: (x: number) => number;
}

/** Weights [length, size] of one dimension. */
function weightsOf(stretch: Stretch, { mode, coordinate, nearest }: Interpolation): Float64Array {
  const { size, length } = stretch;
  const weights = new Float64Array(length * size);
  const put = (row: number, at: number, weight: number): void => {
    const place = row * size + Math.min(size - 1, Math.max(0, at));
    weights[place] = (weights[place] ?? 0) + weight;
  };
  for (let i = 0; i < length; i++) {
    const x = coordinate(i, stretch);
    if (mode === "nearest") put(i, nearest(x), 1);
    else {
      const low = Math.floor(x);
      put(i, low, 1 - (x - low));
      put(i, low + 1, x - low);
    }
  }
  return weights;
}

/** Consumes x. */
function stretchDimension(
  x: JaxArray,
  dim: number,
  stretch: Stretch,
  interpolation: Interpolation,
): JaxArray {
  const { size, length } = stretch;
  const weights = weightsOf(stretch, interpolation);
  const times = length / size;
  const repeats =
    Number.isInteger(times) && range(length).every((i) => weights[i * size + Math.floor(i / times)] === 1);
  if (repeats) {
    const { shape } = x;
    const apart = x.reshape(shape.toSpliced(dim + 1, 0, 1));
    return np.broadcastTo(apart, shape.toSpliced(dim + 1, 0, times)).reshape(shape.with(dim, length));
  }
  const matrix = arrayOf(staticTensor("float32", [length, size], weights));
  const rows = np.moveaxis(x, dim, -1);
  return np.moveaxis(np.matmul(rows, np.transpose(matrix)), -1, dim);
}

function resize(
  node: NodeContext,
  x: JaxArray,
  target: { scales?: readonly number[]; sizes?: readonly number[] },
  interpolation: Interpolation,
): Value {
  const axes =
    (node.opset >= 18 ? node.ints("axes") : undefined)?.map((axis) => axisOf(axis, x.ndim)) ?? range(x.ndim);
  const resized = axes.reduce((out, dim, i) => {
    const size = out.shape[dim] ?? 1;
    const wanted = target.sizes?.[i];
    const scale = target.scales?.[i] ?? (wanted ?? size) / size;
    const length = wanted ?? Math.floor(size * scale);
    return length === size ? out : stretchDimension(out, dim, { size, length, scale }, interpolation);
  }, x);
  return traced("float32", resized);
}

function modeOf(node: NodeContext): "nearest" | "linear" {
  return node.oneOf("mode", ["nearest", "linear"]);
}

/** Operator set 10, and Upsample: scales alone, coordinates divided by them. */
function byScales(operand: number): OperatorRule {
  return (node) => {
    const interpolation = { mode: modeOf(node), coordinate: COORDINATES.asymmetric, nearest: NEAREST.floor };
    return resize(node, node.floats(0), { scales: node.numbers(operand) ?? [] }, interpolation);
  };
}

const resizeRule: OperatorRule = (node) => {
  node.optionalInput(1);
  node.ignore("cubic_coeff_a", "extrapolation_value", "exclude_outside");
  node.oneOf("antialias", [0]);
  node.oneOf("keep_aspect_ratio_policy", ["stretch"]);
  const coordinate = node.oneOf("coordinate_transformation_mode", [
    "half_pixel",
    "asymmetric",
    "align_corners",
    "pytorch_half_pixel",
  ]);
  const nearest = node.oneOf("nearest_mode", ["round_prefer_floor", "floor", "ceil", "round_prefer_ceil"]);
  const filled = (operand: number): { readonly list?: readonly number[] } => {
    const list = node.numbers(operand);
    return list && list.length > 0 ? { list } : {};
  };
  const [scales, sizes] = [filled(2).list, filled(3).list];
  return resize(
    node,
    node.floats(0),
    { ...(scales ? { scales } : {}), ...(sizes ? { sizes } : {}) },
    { mode: modeOf(node), coordinate: COORDINATES[coordinate], nearest: NEAREST[nearest] },
  );
};

const EXCEPT = { except: "mode = cubic, antialias, tf_crop_and_resize" } as const;

export const resizeOperators = {
  Resize: {
    versions: [
      { since: 10, rule: byScales(1) },
      { since: 11, rule: resizeRule },
    ],
    ...EXCEPT,
  },
  Upsample: { versions: [{ since: 9, rule: byScales(1) }], except: "mode = cubic" },
} satisfies Record<string, Operator>;
