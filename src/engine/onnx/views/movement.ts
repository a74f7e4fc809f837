/** Moves elements: slices, padding, joining. What they copy, they copy in the base's own order. */

import type { GraphBuilder, Value } from "../graph.js";
import { type CommonAxis, indexOfLargest, orderOf, tryAlign } from "./align.js";
import { gatherWindows } from "./gather-windows.js";
import {
  type Axis,
  arrange,
  contiguous,
  expose,
  isolate,
  isReal,
  merge,
  shapeOf,
  type View,
  viewOf,
  withResized,
} from "./view.js";

/** `count` elements of one dimension: `start`, `start + step`, … A negative step counts down. */
export interface Cut {
  readonly dim: number;
  readonly start: number;
  readonly count: number;
  readonly step: number;
}

/** The end that ONNX wants: one past the last element; one before the first is written as far before it. */
function endOf({ start, count, step }: Cut): number {
  const end = start + (count - 1) * step + Math.sign(step);
  return end < 0 ? -(2 ** 31) : end;
}

/** Cuts dimensions down, all in one node; what is broadcast is only made shorter. */
export function slice(graph: GraphBuilder, given: View, cuts: readonly Cut[]): View {
  let dims = given.dims;
  const real: Cut[] = [];
  for (const cut of cuts) {
    const dim = given.dims[cut.dim] ?? [];
    const isWhole = cut.count === shapeOf(given)[cut.dim] && cut.step === 1;
    if (isWhole) continue;
    if (dim.some((axis) => isReal(given, axis))) real.push(cut);
    else dims = dims.with(cut.dim, cut.count > 1 ? [{ size: cut.count }] : []);
  }
  const shortened = { ...given, dims };
  if (real.length === 0) return shortened;
  const { view, axes } = isolate(
    graph,
    shortened,
    real.map((cut) => cut.dim),
  );
  const { value, at } = expose(graph, view, axes);
  const counts = real.map((cut) => cut.count);
  const shape = value.shape.map((size, i) => counts[at.indexOf(i)] ?? size);
  const base = graph.node(
    "Slice",
    [
      value,
      graph.ints(real.map((cut) => cut.start)),
      graph.ints(real.map(endOf)),
      graph.ints(at),
      graph.ints(real.map((cut) => cut.step)),
    ],
    { dtype: value.dtype, shape },
  );
  return withResized(view, base, axes, counts);
}

/** Reverses dimensions. */
export function flip(graph: GraphBuilder, view: View, dims: readonly number[]): View {
  const shape = shapeOf(view);
  const cuts = dims
    .filter((dim) => (view.dims[dim] ?? []).some((axis) => isReal(view, axis)))
    .map((dim) => ({ dim, start: (shape[dim] ?? 1) - 1, count: shape[dim] ?? 1, step: -1 }));
  return cuts.length === 0 ? view : slice(graph, view, cuts);
}

/** Adds zeros before and after dimensions; a negative width cuts. */
export function pad(graph: GraphBuilder, given: View, widths: readonly (readonly [number, number])[]): View {
  const dims = widths.flatMap(([before, after], dim) => (before !== 0 || after !== 0 ? [dim] : []));
  if (dims.length === 0) return given;
  const { view, axes } = isolate(graph, given, dims);
  const { value, at } = expose(graph, view, axes);
  const width = (dim: number, side: 0 | 1) => widths[dims[at.indexOf(dim)] ?? -1]?.[side] ?? 0;
  const before = value.shape.map((_, dim) => width(dim, 0));
  const after = value.shape.map((_, dim) => width(dim, 1));
  const shape = value.shape.map((size, dim) => size + (before[dim] ?? 0) + (after[dim] ?? 0));
  const base = graph.node("Pad", [value, graph.ints([...before, ...after])], { dtype: value.dtype, shape });
  return withResized(
    view,
    base,
    axes,
    at.map((dim) => shape[dim] ?? 0),
  );
}

/** Joins views along one dimension, in the order of the largest one's base; what all broadcast stays so. */
export function concatenate(graph: GraphBuilder, given: readonly View[], dim: number): View {
  const { joined, alignment } = alignBeside(graph, given, dim);
  const { views } = alignment;
  const primary = indexOfLargest(views);
  const order: (CommonAxis | "joined")[] = orderOf(alignment, primary);
  const inPrimary = views[primary]?.axes ?? [];
  const outer = inPrimary[inPrimary.indexOf(joined[primary] as Axis) - 1];
  const before = order.findIndex((common) => common !== "joined" && common.own[primary] === outer && outer);
  // Elements are slow to join one by one: rather each view as a whole, one behind the other.
  const isByElement = before + 1 === order.length && joined.every((axis) => axis.size === 1);
  const at = isByElement ? 0 : before + 1;
  order.splice(at, 0, "joined");

  const total = joined.reduce((sum, axis) => sum + axis.size, 0);
  const shape = order.map((common) => (common === "joined" ? total : common.size));
  const operands = views.map((view, v) => {
    const own = order.map((common) => (common === "joined" ? joined[v] : common.own[v]));
    const narrow = own.map((axis) => axis?.size ?? 1);
    const value = arrange(
      graph,
      view,
      own.flatMap((axis) => axis ?? []),
      narrow,
    );
    return expand(graph, value, shape.with(at, joined[v]?.size ?? 1));
  });
  const dtype = operands[0]?.dtype ?? "float32";
  const base =
    gatherWindows(graph, operands, shape, at) ??
    graph.node("Concat", operands, { dtype, shape }, { axis: at });

  const axisOf = new Map(order.map((common, i) => [common, { size: shape[i] ?? 1 }]));
  const dims = alignment.dims.map((list) =>
    list.map((common) => axisOf.get(common) ?? { size: common.size }),
  );
  return merge({
    base,
    axes: [...axisOf.values()].filter((axis) => axis.size > 1),
    dims: dims.toSpliced(dim, 0, total > 1 ? [axisOf.get("joined") as Axis] : []),
  });
}

/** Aligns views in all dimensions but one, which is one axis of the base in each. */
function alignBeside(graph: GraphBuilder, given: readonly View[], dim: number) {
  const attempt = (views: readonly View[]) => {
    const isolated = views.map((view) => isolate(graph, view, [dim]));
    const joined = isolated.flatMap(({ axes }) => axes);
    const alignment = tryAlign(isolated.map(({ view }) => ({ ...view, dims: view.dims.toSpliced(dim, 1) })));
    return alignment && { joined, alignment };
  };
  const aligned = attempt(given) ?? attempt(given.map((view) => viewOf(contiguous(graph, view))));
  if (!aligned) throw new RangeError("operands cannot be aligned");
  return aligned;
}

function expand(graph: GraphBuilder, value: Value, shape: readonly number[]): Value {
  if (shape.every((size, i) => size === value.shape[i])) return value;
  return graph.node("Expand", [value, graph.ints(shape)], { dtype: value.dtype, shape });
}
