/** Operators that pick, join and place elements: https://onnx.ai/onnx/operators/ */
import { nn, numpy as np } from "@jax-js/jax";
import { concatenate, expand, reshape, slice, take, transpose } from "../movement.js";
import type { NodeContext } from "../node-context.js";
import { picked, staticTensor, stridesOf } from "../static.js";
import { arrayOf, scalarValue, shapeOfValue, shared, traced, type Value } from "../value.js";
import { elementwise } from "./arithmetic.js";
import { cast } from "./logic.js";
import { axisOf, type Operator, type OperatorRule, operator, range } from "./rule.js";

/** Ends beyond a dimension mean its end. */
function sliceOf(value: Value, axis: number, start: number, end: number, step: number): Value {
  const size = shapeOfValue(value)[axis] ?? 1;
  const bound = (at: number, low: number, high: number): number =>
    Math.min(high, Math.max(low, at < 0 ? at + size : at));
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
  const from = bound(start, Math.max(low, 0), high);
  const to = end < -size - 1 && step < 0 ? -1 : bound(end, low, step > 0 ? size : size);
  return slice(value, axis, from, Math.max(0, Math.ceil((to - from) / step)), step);
}

function sliceAll(
  value: Value,
  starts: readonly number[],
  ends: readonly number[],
  axes?: readonly number[],
  steps?: readonly number[],
): Value {
  const rank = shapeOfValue(value).length;
  return starts.reduce(
    (cut, start, i) => sliceOf(cut, axisOf(axes?.[i] ?? i, rank), start, ends[i] ?? 0, steps?.[i] ?? 1),
    shared(value),
  );
}

/** Bounds are attributes before operator set 10, operands from then on. */
const sliceByAttributes: OperatorRule = (node) =>
  sliceAll(node.input(0), node.ints("starts") ?? [], node.ints("ends") ?? [], node.ints("axes"));

const sliceByOperands: OperatorRule = (node) =>
  sliceAll(node.input(0), node.numbers(1) ?? [], node.numbers(2) ?? [], node.numbers(3), node.numbers(4));

function splitInto(node: NodeContext, given: readonly number[] | undefined, even: boolean): Value[] {
  const value = node.input(0);
  const shape = shapeOfValue(value);
  const axis = axisOf(node.int("axis", 0), shape.length);
  const size = shape[axis] ?? 1;
  const count = node.outputCount;
  const part = even ? Math.ceil(size / count) : size / count;
  const sizes = given ?? range(count).map((i) => Math.min(part, size - i * part));
  if (
    sizes.length !== count ||
    sizes.some((one) => !Number.isInteger(one)) ||
    sizes.reduce((a, b) => a + b, 0) !== size
  ) {
    throw new RangeError(`a dimension of ${size} cannot be split into [${sizes}]`);
  }
  let start = 0;
  return sizes.map((one) => {
    const piece = slice(value, axis, start, one, 1);
    start += one;
    return piece;
  });
}

const split: Operator = {
  versions: [
    { since: 2, rule: (node) => splitInto(node, node.ints("split"), false) },
    { since: 13, rule: (node) => splitInto(node, node.numbers(1), false) },
    {
      since: 18,
      rule: (node) => {
        node.ignore("num_outputs");
        return splitInto(node, node.numbers(1), true);
      },
    },
  ],
};

const concat: OperatorRule = (node) => {
  const values = node.allInputs();
  const rank = values[0] ? shapeOfValue(values[0]).length : 0;
  return concatenate(values, axisOf(node.int("axis", 0), rank));
};

const gather: OperatorRule = (node) => {
  const shape = node.shape(0);
  return take(node.input(0), node.input(1), axisOf(node.int("axis", 0), shape.length));
};

/** One element for each index, from the same place in all other dimensions. */
const gatherElements: OperatorRule = (node) => {
  const data = node.input(0);
  const shape = shapeOfValue(data);
  const indices = node.input(1);
  const axis = axisOf(node.int("axis", 0), shape.length);
  const size = shape[axis] ?? 1;
  if (indices.kind === "static" && data.kind === "static") {
    const strides = stridesOf(shape);
    let at = 0;
    return picked(data, indices.shape, (index) => {
      const chosen = indices.data[at++] ?? 0;
      const along = chosen < 0 ? chosen + size : chosen;
      return index.reduce((place, i, d) => place + (strides[d] ?? 0) * (d === axis ? along : i), 0);
    });
  }
  const wanted = arrayOf(indices);
  const positive = np.where(wanted.ref.less(0), wanted.ref.add(size), wanted);
  const cut = shapeOfValue(indices).reduce<Value>(
    (value, count, d) => (d === axis ? value : slice(value, d, 0, count, 1)),
    shared(data),
  );
  // A choice among all of a dimension by a one-hot product: gradients without a scatter.
  const moved = np.moveaxis(arrayOf(cut), axis, -1);
  const chosen = nn.oneHot(np.moveaxis(positive, axis, -1), size);
  const picks = np.matmul(chosen, moved.reshape([...moved.shape, 1]));
  return traced(data.type, np.moveaxis(picks.reshape(picks.shape.slice(0, -1)), -1, axis));
};

const trilu: OperatorRule = (node) => {
  const value = node.input(0);
  const shape = shapeOfValue(value);
  const k = node.numbers(1)?.[0] ?? 0;
  const isUpper = node.oneOf("upper", [1, 0]) === 1;
  const [rows = 1, columns = 1] = shape.slice(-2);
  const mask = staticTensor("bool", [rows, columns], (i) => {
    const distance = (i % columns) - Math.floor(i / columns);
    return (isUpper ? distance >= k : distance <= k) ? 1 : 0;
  });
  return elementwise(
    [mask, value],
    value.type,
    (c = 0, x = 0) => (c === 0 ? 0 : x),
    (c, x) => np.where(c as never, x as never, 0),
  );
};

function padded(
  node: NodeContext,
  widths: readonly number[],
  fill: Value | undefined,
  axes: readonly number[] | undefined,
): Value {
  const value = node.input(0);
  const rank = shapeOfValue(value).length;
  const mode = node.oneOf("mode", ["constant", "reflect", "edge"]);
  const list = axes ?? range(rank);
  return list.reduce((out, axis, i) => {
    const [before = 0, after = 0] = [widths[i], widths[i + list.length]];
    const at = axisOf(axis, rank);
    const cut = sliceOf(out, at, Math.max(0, -before), (shapeOfValue(out)[at] ?? 1) - Math.max(0, -after), 1);
    return padOne(cut, at, Math.max(0, before), Math.max(0, after), mode, fill ?? scalarValue(0));
  }, shared(value));
}

function padOne(value: Value, dim: number, before: number, after: number, mode: string, fill: Value): Value {
  if (before === 0 && after === 0) return value;
  const shape = shapeOfValue(value);
  const size = shape[dim] ?? 1;
  if (mode !== "constant") {
    const bounce = (i: number): number => (i < 0 ? -i : i >= size ? 2 * (size - 1) - i : i);
    const nearest = (i: number): number => Math.min(size - 1, Math.max(0, i));
    const places = range(before + size + after).map((i) =>
      (mode === "reflect" ? bounce : nearest)(i - before),
    );
    return take(value, staticTensor("int64", [places.length], places), dim);
  }
  if (value.kind === "traced" && fill.kind === "static" && fill.data[0] === 0 && value.type !== "bool") {
    return traced(
      value.type,
      np.pad(
        value.array,
        shape.map((_, d): [number, number] => (d === dim ? [before, after] : [0, 0])),
      ),
    );
  }
  const block = (count: number): Value[] =>
    count === 0
      ? []
      : [
          expand(
            cast(
              reshape(
                fill,
                shape.map(() => 1),
              ),
              value.type,
            ),
            shape.with(dim, count),
          ),
        ];
  return concatenate([...block(before), value, ...block(after)], dim);
}

const pad: Operator = {
  versions: [
    {
      since: 2,
      rule: (node) => padded(node, node.ints("pads") ?? [], scalarValue(node.float("value", 0)), undefined),
    },
    {
      since: 11,
      rule: (node) => padded(node, node.numbers(1) ?? [], node.optionalInput(2), node.numbers(3)),
    },
  ],
  except: "mode = wrap",
};

/** Blocks of channels become blocks of pixels. */
const depthToSpace: OperatorRule = (node) => {
  const block = node.int("blocksize", 1);
  const [batch = 1, channels = 1, height = 1, width = 1] = node.shape(0);
  const inner = channels / (block * block);
  const isByColumn = node.oneOf("mode", ["DCR", "CRD"]) === "DCR";
  const cut = reshape(
    node.input(0),
    isByColumn ? [batch, block, block, inner, height, width] : [batch, inner, block, block, height, width],
  );
  const moved = transpose(cut, isByColumn ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3]);
  return reshape(moved, [batch, inner, height * block, width * block]);
};

const spaceToDepth: OperatorRule = (node) => {
  const block = node.int("blocksize", 1);
  const [batch = 1, channels = 1, height = 1, width = 1] = node.shape(0);
  const cut = reshape(node.input(0), [batch, channels, height / block, block, width / block, block]);
  return reshape(transpose(cut, [0, 3, 5, 1, 2, 4]), [
    batch,
    channels * block * block,
    height / block,
    width / block,
  ]);
};

const oneHot: OperatorRule = (node) => {
  const [indices, depth, values] = [node.input(0), node.static(1).data[0] ?? 1, node.static(2).data];
  const rank = shapeOfValue(indices).length + 1;
  const axis = axisOf(node.int("axis", -1), rank);
  const wanted = arrayOf(cast(indices, "int64"));
  const chosen = nn.oneHot(np.where(wanted.ref.less(0), wanted.ref.add(depth), wanted), depth);
  const [off = 0, on = 1] = values;
  return traced("float32", np.moveaxis(chosen.mul(on - off).add(off), -1, axis));
};

/** Sums from the start of a dimension, as a product with a triangle of ones. */
const cumSum: OperatorRule = (node) => {
  const value = node.input(0);
  const shape = shapeOfValue(value);
  const axis = axisOf(node.static(1).data[0] ?? 0, shape.length);
  const [isExclusive, isReverse] = [node.int("exclusive", 0) === 1, node.int("reverse", 0) === 1];
  const size = shape[axis] ?? 1;
  const counts = (from: number, to: number): boolean => (isExclusive ? from < to : from <= to);
  const triangle = staticTensor(value.type, [size, size], (i) => {
    const [to, from] = [Math.floor(i / size), i % size];
    return (isReverse ? counts(to, from) : counts(from, to)) ? 1 : 0;
  });
  const rows = np.moveaxis(arrayOf(value), axis, -1);
  return traced(value.type, np.moveaxis(np.matmul(rows, np.transpose(arrayOf(triangle))), -1, axis));
};

export const indexingOperators = {
  Slice: {
    versions: [
      { since: 1, rule: sliceByAttributes },
      { since: 10, rule: sliceByOperands },
    ],
  },
  Split: split,
  Concat: operator(concat),
  Gather: operator(gather, { weights: [0] }),
  GatherElements: operator(gatherElements),
  Trilu: operator(trilu),
  Pad: pad,
  DepthToSpace: operator(depthToSpace),
  SpaceToDepth: operator(spaceToDepth),
  OneHot: operator(oneHot),
  CumSum: operator(cumSum),
} satisfies Record<string, Operator>;
