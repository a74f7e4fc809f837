/** Reductions: axes are an attribute in older operator sets, an operand in newer ones. */

import { numpy as np } from "@jax-js/jax";
import { maxOf, minOf } from "../../../../base/statistics.js";
import type { JaxArray } from "../../../trace.js";
import type { NodeContext } from "../node-context.js";
import { type StaticTensor, staticTensor, stridesOf } from "../static.js";
import { arrayOf, shapeOfValue, shared, traced } from "../value.js";
import { axisOf, type Operator, type OperatorRule, operator, range } from "./rule.js";
import { axes } from "./shapes.js";

const MAX_FACTORS = 256;

type Reduce = (x: JaxArray, axis: number[]) => JaxArray;

function reduction(fold: (values: readonly number[]) => number, reduce: Reduce, operandSince = 18): Operator {
  const rule: OperatorRule = (node) => {
    const value = node.input(0);
    const shape = shapeOfValue(value);
    const keeps = node.oneOf("keepdims", [1, 0]) === 1;
    const isNoop = operandSince <= node.opset && node.int("noop_with_empty_axes", 0) === 1;
    const given = axes(node, 1, operandSince, shape.length);
    if (isNoop && (given ?? []).length === 0) return shared(value);
    const over = given === undefined || given.length === 0 ? range(shape.length) : given;
    const kept = shape.flatMap((size, d) => (over.includes(d) ? (keeps ? [1] : []) : [size]));
    if (value.kind === "static") return { ...reduceStatic(value, over, fold), shape: kept };
    const reduced = over.length === 0 ? value.array.ref : reduce(value.array.ref, over);
    return traced(value.type, reduced.reshape(kept));
  };
  return operator(rule);
}

function reduceStatic(
  value: StaticTensor,
  over: readonly number[],
  fold: (values: readonly number[]) => number,
): StaticTensor {
  const strides = stridesOf(value.shape);
  const outer = value.shape.map((size, d) => (over.includes(d) ? 1 : size));
  const outerStrides = stridesOf(outer);
  const groups = new Map<number, number[]>();
  for (const [i, one] of value.data.entries()) {
    const place = value.shape.reduce((sum, size, d) => {
      const at = over.includes(d) ? 0 : Math.floor(i / (strides[d] ?? 1)) % size;
      return sum + at * (outerStrides[d] ?? 0);
    }, 0);
    const group = groups.get(place);
    if (group) group.push(one);
    else groups.set(place, [one]);
  }
  return staticTensor(value.type, outer, (i) => fold(groups.get(i) ?? []));
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

/** Factor by factor: the gradient of a product that is taken at once is no number where a factor is 0. */
function productOver(x: JaxArray, axis: number[]): JaxArray {
  const kept = range(x.ndim).filter((d) => !axis.includes(d));
  const shape = kept.map((d) => x.shape[d] ?? 1);
  const rows = np.transpose(x, [...kept, ...axis]).reshape([...shape, -1]);
  const count = rows.shape.at(-1) ?? 1;
  if (count > MAX_FACTORS)
    throw new RangeError(`a product of ${count} factors is not supported; at most ${MAX_FACTORS} are`);
  const all = kept.map((): [] => []);
  const product = range(count)
    .map((i) => rows.ref.slice(...all, i))
    .reduce((result, factor) => result.mul(factor));
  rows.dispose();
  return product;
}

function logSumExp(x: JaxArray, axis: number[]): JaxArray {
  const top = x.ref.max(axis, { keepdims: true });
  const shifted = np.log(np.exp(x.sub(top.ref)).sum(axis, { keepdims: true }));
  return shifted.add(top);
}

/** The place of the largest (smallest) element. */
function argument(
  choose: (x: JaxArray, axis: number) => JaxArray,
  isBetter: (a: number, b: number) => boolean,
): OperatorRule {
  return (node: NodeContext) => {
    const value = node.input(0);
    const shape = shapeOfValue(value);
    const axis = axisOf(node.int("axis", 0), shape.length);
    const keeps = node.oneOf("keepdims", [1, 0]) === 1;
    node.oneOf("select_last_index", [0]);
    const kept = keeps ? shape.with(axis, 1) : shape.toSpliced(axis, 1);
    if (value.kind === "static") {
      const best = (values: readonly number[]): number =>
        values.reduce((at, one, i) => (isBetter(one, values[at] ?? 0) ? i : at), 0);
      return { ...reduceStatic(value, [axis], best), type: "int64", shape: kept };
    }
    return traced("int64", choose(arrayOf(value), axis).reshape(kept));
  };
}

export const reductionOperators = {
  ReduceSum: reduction(total, (x, axis) => x.sum(axis), 13),
  ReduceMean: reduction(
    (values) => total(values) / values.length,
    (x, axis) => x.mean(axis),
  ),
  ReduceMax: reduction(maxOf, (x, axis) => x.max(axis)),
  ReduceMin: reduction(minOf, (x, axis) => x.min(axis)),
  ReduceProd: reduction((values) => values.reduce((product, one) => product * one, 1), productOver),
  ReduceSumSquare: reduction(
    (values) => total(values.map((one) => one * one)),
    (x, axis) => np.square(x).sum(axis),
  ),
  ReduceL1: reduction(
    (values) => total(values.map(Math.abs)),
    (x, axis) => np.where(x.ref.less(0), x.ref.neg(), x).sum(axis),
  ),
  ReduceL2: reduction(
    (values) => Math.hypot(...values),
    (x, axis) => np.sqrt(np.square(x).sum(axis)),
  ),
  ReduceLogSumExp: reduction((values) => Math.log(total(values.map(Math.exp))), logSumExp),
  ArgMax: operator(
    argument(
      (x, axis) => np.argmax(x, axis),
      (a, b) => a > b,
    ),
    { except: "select_last_index = 1" },
  ),
  ArgMin: operator(
    argument(
      (x, axis) => np.argmin(x, axis),
      (a, b) => a < b,
    ),
    { except: "select_last_index = 1" },
  ),
} satisfies Record<string, Operator>;
