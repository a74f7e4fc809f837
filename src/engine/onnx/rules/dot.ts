/**
 * dot, the sum of x·y over the last dimension of two broadcast operands, as the matrix product that it nearly always
 * is: of the axes outside the sum, those of both operands are a batch, those of x alone are rows, those of y alone
 * columns. Anything else is 10 to 15 times slower.
 *
 * Which operand is transposed depends on the operands alone: the same product
 * has the same bits in any program.
 */

import type { GraphBuilder, Value } from "../graph.js";
import { align, broadcastShapes, type CommonAxis } from "../views/align.js";
import {
  type Axis,
  arrange,
  contiguous,
  isReal,
  merge,
  realSize,
  shapeOf,
  type View,
  viewOf,
} from "../views/view.js";
import { mul } from "./arithmetic.js";
import { reduce } from "./reduce.js";
import { castView, elementwise, inputOf, outputOf, type Rule } from "./rule.js";

export const dotRule: Rule<"dot"> = (context) => {
  const { graph } = context;
  const { dtype } = outputOf(context);
  const [x, y] = [castView(graph, inputOf(context, 0), dtype), castView(graph, inputOf(context, 1), dtype)];
  return [dot(graph, x, y, context.contrib)];
};

export function dot(graph: GraphBuilder, x: View, y: View, contrib: boolean): View {
  const shape = broadcastShapes(shapeOf(x), shapeOf(y));
  if (isRepeated(x)) return sumThenScale(graph, y, x, shape);
  if (isRepeated(y)) return sumThenScale(graph, x, y, shape);
  if (x.base.dtype !== "float32") return multiplyThenSum(graph, x, y, shape);

  const { views, dims } = align(graph, [x, y], shape);
  const [left, right] = views as [View, View];
  const inner = dims.at(-1) ?? [];
  if (inner.some(({ own }) => !own[0] || !own[1])) {
    return dot(graph, viewOf(contiguous(graph, x)), viewOf(contiguous(graph, y)), contrib);
  }
  const outer = dims.slice(0, -1).flat();
  const rows = outer.filter(({ own }) => own[0] && !own[1]);
  const columns = outer.filter(({ own }) => own[1] && !own[0]);
  if (rows.length + columns.length === 0) return multiplyThenSum(graph, x, y, shape);
  const batch = outer.filter(({ own }) => own[0] && own[1]);
  const product = matrixProduct(graph, { left, right, batch, rows, columns, inner }, contrib);
  return product(dims.slice(0, -1));
}

/** The last dimension holds the same elements again and again (or is of size 1). */
function isRepeated(view: View): boolean {
  return (view.dims.at(-1) ?? []).every((axis) => !isReal(view, axis));
}

/** Σ x·y over a dimension in which y is constant: y·Σx. */
function sumThenScale(graph: GraphBuilder, x: View, y: View, shape: readonly number[]): View {
  const last = shape.length - 1;
  const size = shape[last] ?? 1;
  const wide =
    (x.dims.at(-1) ?? []).length === 0 && size > 1 ? { ...x, dims: x.dims.with(-1, [{ size }]) } : x;
  const sum = reduce(graph, wide, "Add", [wide.dims.length - 1]);
  const factor = { ...y, dims: y.dims.slice(0, -1) };
  return elementwise(graph, [sum, factor], shape.slice(0, -1), ([a, b], common) =>
    mul(graph, [a as Value, b as Value], common),
  );
}

function multiplyThenSum(graph: GraphBuilder, x: View, y: View, shape: readonly number[]): View {
  const product = elementwise(graph, [x, y], shape, ([a, b], common) =>
    mul(graph, [a as Value, b as Value], common),
  );
  return reduce(graph, product, "Add", [shape.length - 1]);
}

interface Product {
  readonly left: View;
  readonly right: View;
  readonly batch: readonly CommonAxis[];
  readonly rows: readonly CommonAxis[];
  readonly columns: readonly CommonAxis[];
  readonly inner: readonly CommonAxis[];
}

/** One operand as a matrix [batch, free, inner], or with the last two exchanged. */
interface Operand {
  readonly value: Value;
  readonly transposed: boolean;
}

const LEFT = 0;
const RIGHT = 1;

function matrixProduct(graph: GraphBuilder, product: Product, contrib: boolean) {
  const larger = realSize(product.left) >= realSize(product.right) ? LEFT : RIGHT;
  const orders = {
    batch: inBaseOrder(product, larger, product.batch),
    inner: inBaseOrder(product, larger, product.inner),
    rows: inBaseOrder(product, LEFT, product.rows),
    columns: inBaseOrder(product, RIGHT, product.columns),
  };
  const left = operand(graph, product.left, LEFT, orders.batch, orders.rows, orders.inner);
  const right = operand(graph, product.right, RIGHT, orders.batch, orders.columns, orders.inner);
  const base = multiply(graph, left, right, contrib);
  const order = [...orders.batch, ...orders.rows, ...orders.columns];
  const axisOf = new Map<CommonAxis, Axis>(order.map((common) => [common, { size: common.size }]));
  return (dims: readonly (readonly CommonAxis[])[]): View =>
    merge({
      base,
      axes: [...axisOf.values()],
      dims: dims.map((dim) => dim.map((common) => axisOf.get(common) ?? { size: common.size })),
    });
}

/** Axes in the order in which one operand's base has them. */
function inBaseOrder(product: Product, side: 0 | 1, axes: readonly CommonAxis[]): readonly CommonAxis[] {
  const { axes: base } = side === LEFT ? product.left : product.right;
  const place = ({ own }: CommonAxis) => base.indexOf(own[side] as Axis);
  return [...axes].sort((a, b) => place(a) - place(b));
}

function operand(
  graph: GraphBuilder,
  view: View,
  side: 0 | 1,
  batch: readonly CommonAxis[],
  free: readonly CommonAxis[],
  inner: readonly CommonAxis[],
): Operand {
  const own = (list: readonly CommonAxis[]) => list.flatMap((common) => common.own[side] ?? []);
  // What lies innermost stays there: no copy at best, and else one of whole rows, four times as fast as of elements.
  const transposed = own(free).includes(view.axes.at(-1) as Axis);
  const parts = [batch, ...(transposed ? [inner, free] : [free, inner])];
  const sizes = parts.map(sizeOfAll);
  const value = arrange(graph, view, parts.flatMap(own), batch.length === 0 ? sizes.slice(1) : sizes);
  return { value, transposed };
}

function sizeOfAll(axes: readonly CommonAxis[]): number {
  return axes.reduce((product, { size }) => product * size, 1);
}

/** left · rightᵀ of matrices [(batch,) free, inner], whichever way each one lies. */
function multiply(graph: GraphBuilder, left: Operand, right: Operand, contrib: boolean): Value {
  const rank = left.value.shape.length;
  const free = ({ value, transposed }: Operand) => value.shape.at(transposed ? -1 : -2) ?? 1;
  const shape = [...left.value.shape.slice(0, rank - 2), free(left), free(right)];
  const transA = left.transposed ? 1 : 0;
  const transB = right.transposed ? 0 : 1;
  const output = { dtype: left.value.dtype, shape };
  if (rank === 2) return graph.node("Gemm", [left.value, right.value], output, { transA, transB });
  if (contrib && transA + transB > 0) {
    return graph.node("FusedMatMul", [left.value, right.value], output, { transA, transB });
  }
  const a = transA ? exchangeLast(graph, left.value) : left.value;
  const b = transB ? exchangeLast(graph, right.value) : right.value;
  return graph.node("MatMul", [a, b], output);
}

function exchangeLast(graph: GraphBuilder, value: Value): Value {
  const [batch = 1, m = 1, n = 1] = value.shape;
  return graph.node("Transpose", [value], { dtype: value.dtype, shape: [batch, n, m] }, { perm: [0, 2, 1] });
}
