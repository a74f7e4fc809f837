/** Operators that change shapes, and those that only speak of them: https://onnx.ai/onnx/operators/ */
import { sizeOf } from "../../../../contracts/tensor.js";
import { concatenate, expand, reshape, transpose } from "../movement.js";
import type { NodeContext } from "../node-context.js";
import { staticTensor, wholeNumbers } from "../static.js";
import { shapeOfValue, shared, type Value } from "../value.js";
import { axisOf, type Operator, type OperatorRule, operator, range } from "./rule.js";

/** Axes as an attribute in older operator sets, as an operand in newer ones. */
export function axes(node: NodeContext, operand: number, since: number, rank: number): number[] | undefined {
  const given = node.opset < since ? node.ints("axes") : node.numbers(operand);
  return given?.map((axis) => axisOf(axis, rank));
}

const AXES_OPERAND_SINCE = 13;

/** 0 keeps a size, −1 is what is left over. */
const reshapeRule: OperatorRule = (node) => {
  const from = node.shape(0);
  const keepsZero = node.oneOf("allowzero", [0, 1]) === 1;
  const wanted = node.static(1).data;
  const sizes = Array.from(wanted, (size, i) => (size === 0 && !keepsZero ? (from[i] ?? 0) : size));
  const known = sizes.filter((size) => size !== -1).reduce((product, size) => product * size, 1);
  const rest = sizeOf(from) / known;
  const shape = sizes.map((size) => (size === -1 ? rest : size));
  if (sizeOf(shape) !== sizeOf(from) || shape.some((size) => !Number.isInteger(size))) {
    throw new RangeError(
      `[${from}] cannot become [${wanted}]: a batch size is fixed here, it seems; export the model with dynamic_axes`,
    );
  }
  return reshape(node.input(0), shape);
};

const squeeze: OperatorRule = (node) => {
  const shape = node.shape(0);
  const dropped =
    axes(node, 1, AXES_OPERAND_SINCE, shape.length) ?? range(shape.length).filter((d) => shape[d] === 1);
  if (dropped.some((d) => shape[d] !== 1))
    throw new RangeError(`axes [${dropped}] of [${shape}] are not all of size 1`);
  return reshape(
    node.input(0),
    shape.filter((_, d) => !dropped.includes(d)),
  );
};

const unsqueeze: OperatorRule = (node) => {
  const shape = node.shape(0);
  const given = node.opset < AXES_OPERAND_SINCE ? node.ints("axes") : node.numbers(1);
  const rank = shape.length + (given?.length ?? 0);
  const added = new Set((given ?? []).map((axis) => axisOf(axis, rank)));
  const kept = shape.values();
  return reshape(
    node.input(0),
    range(rank).map((d) => (added.has(d) ? 1 : (kept.next().value ?? 1))),
  );
};

const flatten: OperatorRule = (node) => {
  const shape = node.shape(0);
  const axis = node.int("axis", 1);
  const at = axis < 0 ? axis + shape.length : axis;
  return reshape(node.input(0), [sizeOf(shape.slice(0, at)), sizeOf(shape.slice(at))]);
};

const shapeRule: OperatorRule = (node) => {
  const end = node.int("end");
  return wholeNumbers(node.shape(0).slice(node.int("start", 0), end));
};

const transposeRule: OperatorRule = (node) => {
  const rank = node.shape(0).length;
  return transpose(node.input(0), node.ints("perm") ?? range(rank).reverse());
};

const constant: OperatorRule = (node) => {
  const tensor = node.tensor("value");
  if (tensor) return tensor;
  if (node.has("value_float")) return staticTensor("float32", [], [node.float("value_float", 0)]);
  if (node.has("value_int")) return staticTensor("int64", [], [node.int("value_int", 0)]);
  const floats = node.floatList("value_floats");
  if (floats) return staticTensor("float32", [floats.length], floats);
  const ints = node.ints("value_ints");
  if (ints) return wholeNumbers(ints);
  throw new RangeError("it holds no tensor of numbers");
};

const constantOfShape: OperatorRule = (node) => {
  const value = node.tensor("value");
  return staticTensor(value?.type ?? "float32", [...node.static(0).data], () => value?.data[0] ?? 0);
};

const rangeRule: OperatorRule = (node) => {
  const [start, limit, delta] = [node.static(0), node.static(1), node.static(2)].map(
    ({ data }) => data[0] ?? 0,
  ) as [number, number, number];
  const count = Math.max(0, Math.ceil((limit - start) / delta));
  return staticTensor(node.input(0).type, [count], (i) => start + i * delta);
};

const tile: OperatorRule = (node) => {
  const counts = [...node.static(1).data];
  return counts.reduce<Value>((value, count, dim) => {
    const repeated = concatenate(
      Array.from({ length: count }, () => value),
      dim,
    );
    return repeated;
  }, node.input(0));
};

const dropout: OperatorRule = (node) => {
  node.ignore("seed", "ratio");
  const ratio = node.numbers(1)?.[0];
  if (node.optionalInput(2) && node.static(2).data[0] !== 0 && ratio !== 0) {
    throw new RangeError("it is in training mode; export the model in evaluation mode");
  }
  return shared(node.input(0));
};

const eyeLike: OperatorRule = (node) => {
  const shape = node.shape(0);
  const k = node.int("k", 0);
  const columns = shape[1] ?? 1;
  node.ignore("dtype");
  return staticTensor(node.input(0).type, shape, (i) =>
    i % columns === Math.floor(i / columns) + k ? 1 : 0,
  );
};

export const shapeOperators = {
  Reshape: operator(reshapeRule),
  Squeeze: operator(squeeze),
  Unsqueeze: operator(unsqueeze),
  Flatten: operator(flatten),
  Shape: operator(shapeRule),
  Size: operator((node) => staticTensor("int64", [], [sizeOf(node.shape(0))])),
  Transpose: operator(transposeRule),
  Expand: operator((node) => expand(node.input(0), [...node.static(1).data])),
  Identity: operator((node) => shared(node.input(0))),
  Dropout: operator(dropout, { except: "training mode, the mask" }),
  Constant: operator(constant, { except: "strings, sparse tensors" }),
  ConstantOfShape: operator(constantOfShape),
  Range: operator(rangeRule),
  Tile: operator(tile),
  EyeLike: operator(eyeLike),
} satisfies Record<string, Operator>;

/** The shape of a value as a plain list. */
export function sizesOfValue(value: Value): number[] {
  return [...shapeOfValue(value)];
}
