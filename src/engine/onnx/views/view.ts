/**
 * Views: every value of a program while it is lowered. A view is a tensor that exists (its `base`) and a reading of
 * it, so that transpose, broadcast, reshape and stop_gradient cost nothing, and a dot sees through them.
 *
 * The base is cut into axes, in its own order. Each dimension of the view is a list of axes, outermost first; an
 * axis that the base does not have is a broadcast (the same elements again). Axes of size 1 are left out.
 */
import { sizeOf } from "../../../contracts/tensor.js";
import type { GraphBuilder, Value } from "../graph.js";

/** Compared by identity. */
export interface Axis {
  readonly size: number;
}

export interface View {
  readonly base: Value;
  /** The axes of the base, in its order; every one stands in exactly one dimension. */
  readonly axes: readonly Axis[];
  readonly dims: readonly (readonly Axis[])[];
}

export function viewOf(value: Value): View {
  const dims = value.shape.map((size) => (size === 1 ? [] : [{ size }]));
  return { base: value, axes: dims.flat(), dims };
}

export function isReal(view: View, axis: Axis): boolean {
  return view.axes.includes(axis);
}

export function sizesOf(axes: readonly Axis[]): number[] {
  return axes.map((axis) => axis.size);
}

export function productOf(axes: readonly Axis[]): number {
  return sizeOf(sizesOf(axes));
}

export function shapeOf(view: View): number[] {
  return view.dims.map(productOf);
}

/** How many elements the base holds. */
export function realSize(view: View): number {
  return productOf(view.axes);
}

/** Joins neighbours in each dimension that are neighbours in the base too, or both broadcasts. */
export function merge(view: View): View {
  let { axes } = view;
  const joins = (outer: Axis, inner: Axis): boolean => {
    const at = axes.indexOf(outer);
    return at < 0 ? !axes.includes(inner) : axes[at + 1] === inner;
  };
  const dims = view.dims.map((dim) => {
    const out: Axis[] = [];
    for (const axis of dim) {
      const last = out.at(-1);
      if (!last || !joins(last, axis)) {
        out.push(axis);
        continue;
      }
      const joined = { size: last.size * axis.size };
      out[out.length - 1] = joined;
      axes = axes.flatMap((one) => (one === last ? [joined] : one === axis ? [] : [one]));
    }
    return out;
  });
  return { base: view.base, axes, dims };
}

/** Cuts one axis in two, the outer of size `outer`. */
export function splitAxis(view: View, axis: Axis, outer: number): View {
  const pieces = [{ size: outer }, { size: axis.size / outer }];
  const cut = (list: readonly Axis[]) => list.flatMap((one) => (one === axis ? pieces : [one]));
  return { base: view.base, axes: cut(view.axes), dims: view.dims.map(cut) };
}

export function transpose(view: View, perm: readonly number[]): View {
  return { ...view, dims: perm.map((from) => view.dims[from] ?? []) };
}

/** Inserts new dimensions at `axis`; a dimension of size 1 is stretched to the shape's size. */
export function broadcast(view: View, shape: readonly number[], axis: readonly number[]): View {
  const kept = view.dims.values();
  const dims = shape.map((size, i): readonly Axis[] => {
    const dim = axis.includes(i) ? [] : (kept.next().value ?? []);
    return dim.length === 0 && size > 1 ? [{ size }] : dim;
  });
  return { ...view, dims };
}

export function reshape(graph: GraphBuilder, view: View, shape: readonly number[]): View {
  return (
    regroup(view, shape) ??
    regroup(viewOf(contiguous(graph, view)), shape) ??
    viewOf(graph.reshape(contiguous(graph, view), shape))
  );
}

/** The view in another shape, where that needs no copy. */
function regroup(view: View, shape: readonly number[]): View | undefined {
  let flat = merge({ ...view, dims: [view.dims.flat()] });
  let start = 0;
  const ends: number[] = [];
  for (const size of shape) {
    const taken = takeAxes(flat, start, size);
    if (!taken) return undefined;
    flat = taken.view;
    start = taken.end;
    ends.push(start);
  }
  const axes = flat.dims[0] ?? [];
  return { base: view.base, axes: flat.axes, dims: ends.map((end, d) => axes.slice(ends[d - 1] ?? 0, end)) };
}

/** Axes from `start` on that make up `size`, the last of them cut where it is too large. */
function takeAxes(given: View, start: number, size: number): { view: View; end: number } | undefined {
  let view = given;
  let end = start;
  for (let missing = size; missing > 1; end++) {
    const axis = view.dims[0]?.[end];
    if (!axis) return undefined;
    if (axis.size > missing && axis.size % missing === 0) view = splitAxis(view, axis, missing);
    const piece = view.dims[0]?.[end]?.size ?? 0;
    if (piece > missing || missing % piece !== 0) return undefined;
    missing /= piece;
  }
  return { view, end };
}

/** The base with its axes in `order` (all of them), in `shape`. */
export function arrange(
  graph: GraphBuilder,
  view: View,
  wanted: readonly Axis[],
  shape: readonly number[],
): Value {
  // Where an axis of size 1 stands moves no element.
  const isWide = ({ size }: Axis) => size > 1;
  const [order, present] = [wanted.filter(isWide), view.axes.filter(isWide)];
  if (order.every((axis, i) => axis === present[i])) return graph.reshape(view.base, shape);
  const groups: Axis[][] = [];
  for (const axis of present) {
    const last = groups.at(-1)?.at(-1);
    const follows = last && order.indexOf(axis) === order.indexOf(last) + 1;
    if (follows) groups.at(-1)?.push(axis);
    else groups.push([axis]);
  }
  const place = (group: readonly Axis[]) => order.indexOf(group[0] as Axis);
  const moved = [...groups].sort((a, b) => place(a) - place(b));
  const source = graph.reshape(view.base, groups.map(productOf));
  const transposed = graph.node(
    "Transpose",
    [source],
    { dtype: source.dtype, shape: moved.map(productOf) },
    { perm: moved.map((group) => groups.indexOf(group)) },
  );
  return graph.reshape(transposed, shape);
}

/** The view as a tensor of its own shape, row-major. */
export function contiguous(graph: GraphBuilder, view: View): Value {
  const all = view.dims.flat();
  const shape = shapeOf(view);
  const real = all.filter((axis) => isReal(view, axis));
  if (real.length === all.length) return arrange(graph, view, real, shape);
  const merged = merge({ ...view, dims: [all] });
  const axes = merged.dims.flat();
  const narrow = arrange(
    graph,
    merged,
    axes.filter((axis) => isReal(merged, axis)),
    axes.map((axis) => (isReal(merged, axis) ? axis.size : 1)),
  );
  const wide = sizesOf(axes);
  const expanded = graph.node("Expand", [narrow, graph.ints(wide)], { dtype: narrow.dtype, shape: wide });
  return graph.reshape(expanded, shape);
}

/** The base, shaped so that each of `axes` is one of its dimensions, and which. */
export function expose(
  graph: GraphBuilder,
  view: View,
  axes: readonly Axis[],
): { readonly value: Value; readonly at: readonly number[] } {
  const natural = axes.map((axis) => physicalDimension(view, axis));
  // Axes of size 1 side by side can mean one and the same dimension; then the base is given one for each.
  const isDistinct = new Set(natural).size === natural.length;
  if (isDistinct && natural.every((dimension) => dimension >= 0)) return { value: view.base, at: natural };
  const groups: Axis[][] = [];
  for (const axis of view.axes) {
    const last = groups.at(-1);
    if (!last || axes.includes(axis) || axes.some((one) => last.includes(one))) groups.push([axis]);
    else last.push(axis);
  }
  const value = graph.reshape(view.base, groups.map(productOf));
  return { value, at: axes.map((axis) => groups.findIndex((group) => group[0] === axis)) };
}

/** Which dimension of the base's own shape is exactly this axis; -1 for none. */
function physicalDimension(view: View, axis: Axis): number {
  const before = productOf(view.axes.slice(0, view.axes.indexOf(axis)));
  let product = 1;
  for (const [i, size] of view.base.shape.entries()) {
    if (product === before && size === axis.size) return i;
    product *= size;
  }
  return -1;
}

/**
 * The view with each of the dimensions `dims` as exactly one axis of the base, copied where it has to be. A dimension
 * of size 1 becomes an axis of size 1, to be grown by the caller.
 */
export function isolate(
  graph: GraphBuilder,
  view: View,
  dims: readonly number[],
): { readonly view: View; readonly axes: readonly Axis[] } {
  const merged = merge(view);
  const simple = dims.every((dim) => {
    const axes = merged.dims[dim] ?? [];
    return axes.length === 0 || (axes.length === 1 && axes.every((axis) => isReal(merged, axis)));
  });
  const start = simple ? merged : viewOf(contiguous(graph, merged));
  const whole = dims.reduce((out, dim) => (out.dims[dim]?.length === 0 ? insertAxis(out, dim) : out), start);
  return { view: whole, axes: dims.flatMap((dim) => whole.dims[dim] ?? []) };
}

/** Gives a dimension of size 1 an axis, inside of the axes of the dimension before it. */
function insertAxis(view: View, dim: number): View {
  const axis = { size: 1 };
  const before = view.dims
    .slice(0, dim)
    .flat()
    .filter((one) => isReal(view, one));
  const last = before.at(-1);
  const axes = view.axes.toSpliced(last ? view.axes.indexOf(last) + 1 : 0, 0, axis);
  return { base: view.base, axes, dims: view.dims.with(dim, [axis]) };
}

/** The view over a new base, in which `axes` have other sizes. */
export function withResized(view: View, base: Value, axes: readonly Axis[], sizes: readonly number[]): View {
  const lists = new Map(axes.map((axis, i) => [axis, { size: sizes[i] ?? 1 }]));
  const swap = (list: readonly Axis[]) =>
    list.map((axis) => lists.get(axis) ?? axis).filter((axis) => axis.size > 1);
  return { base, axes: swap(view.axes), dims: view.dims.map(swap) };
}
