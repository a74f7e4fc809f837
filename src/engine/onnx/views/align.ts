/** Brings several views of one broadcast shape to common axes, so that an operator can work on their bases. */
import { KasminaError } from "../../../base/errors.js";
import type { GraphBuilder, Value } from "../graph.js";
import {
  type Axis,
  arrange,
  contiguous,
  isReal,
  merge,
  realSize,
  splitAxis,
  type View,
  viewOf,
} from "./view.js";

/** An axis that all views share; for each view its own axis of the base, or undefined where it is broadcast. */
export interface CommonAxis {
  readonly size: number;
  readonly own: readonly (Axis | undefined)[];
}

export interface Alignment {
  readonly views: readonly View[];
  /** For each dimension of the broadcast shape, outermost first. */
  readonly dims: readonly (readonly CommonAxis[])[];
}

/** Cuts the axes of all views until they agree; a view whose axes cannot be cut so is copied first. */
export function align(graph: GraphBuilder, views: readonly View[], shape: readonly number[]): Alignment {
  const stretched = views.map((view) => merge(stretch(view, shape)));
  const alignment = tryAlign(stretched);
  if (alignment) return alignment;
  const copies = views.map((view) => {
    const wide = merge(stretch(view, shape));
    return wide.dims.some((dim) => dim.length > 1) ? stretch(viewOf(contiguous(graph, view)), shape) : wide;
  });
  const second = tryAlign(copies);
  if (!second) throw new KasminaError("engine", `cannot align views of shape [${shape}]`);
  return second;
}

/** NumPy broadcasting: dimensions are added in front, and those of size 1 are repeated. */
function stretch(view: View, shape: readonly number[]): View {
  const missing = shape.length - view.dims.length;
  const dims = shape.map((size, i): readonly Axis[] => {
    const dim = view.dims[i - missing] ?? [];
    return dim.length === 0 && size > 1 ? [{ size }] : dim;
  });
  return { ...view, dims };
}

/** Undefined where the axes of some view cannot be cut to those of the others. */
export function tryAlign(given: readonly View[]): Alignment | undefined {
  const views = [...given];
  const rank = views[0]?.dims.length ?? 0;
  const dims: CommonAxis[][] = [];
  for (let d = 0; d < rank; d++) {
    const common: CommonAxis[] = [];
    for (;;) {
      const heads = views.map((view) => view.dims[d]?.[common.length]);
      const sizes = heads.flatMap((axis) => (axis ? [axis.size] : []));
      if (sizes.length === 0) break;
      const size = Math.min(...sizes);
      if (sizes.length < views.length || sizes.some((one) => one % size !== 0)) return undefined;
      common.push({ size, own: heads.map((axis, v) => cutHead(views, v, d, common.length, axis, size)) });
    }
    dims.push(common);
  }
  return { views, dims };
}

/** Cuts `size` off the front of a view's axis; returns the axis of the base, if it is one. */
function cutHead(
  views: View[],
  v: number,
  d: number,
  place: number,
  axis: Axis | undefined,
  size: number,
): Axis | undefined {
  let view = views[v];
  if (!view || !axis) return undefined;
  if (axis.size > size) {
    view = splitAxis(view, axis, size);
    views[v] = view;
  }
  const head = view.dims[d]?.[place];
  return head && isReal(view, head) ? head : undefined;
}

/** The views' bases, reshaped and transposed so that they broadcast against each other; and what the result is. */
export interface Layout {
  readonly operands: readonly Value[];
  /** The shape of the operands' broadcast. */
  readonly shape: readonly number[];
  /** Wraps a tensor of that shape as the view of the result. */
  readonly view: (base: Value) => View;
}

/**
 * A common layout for an elementwise operator. The order of axes is that of the operand with the largest base, so
 * that only smaller ones are transposed. It depends on the operands alone, never on who uses the result: the
 * same operation has the same bits in any program.
 */
export function layOut(graph: GraphBuilder, views: readonly View[], shape: readonly number[]): Layout {
  const alignment = align(graph, views, shape);
  const primary = indexOfLargest(alignment.views);
  const order = orderOf(alignment, primary);
  const groups = groupsOf(alignment, primary, order);
  const operands = alignment.views.map((view, v) => {
    const axes = order.flatMap(({ own }) => own[v] ?? []);
    const sizes = groups.map((group) => (group.real[v] ? group.size : 1));
    const first = sizes.findIndex((size) => size > 1);
    return arrange(graph, view, axes, first < 0 ? [] : v === primary ? sizes : sizes.slice(first));
  });
  const axisOf = new Map<CommonAxis, Axis>(order.map((common) => [common, { size: common.size }]));
  const dims = alignment.dims.map((dim) => dim.map((common) => axisOf.get(common) ?? { size: common.size }));
  const resultShape = operands.every((value) => value.shape.length === 0)
    ? []
    : groups.map((group) => group.size);
  return {
    operands,
    shape: resultShape,
    view: (base) => merge({ base, axes: order.map((common) => axisOf.get(common) as Axis), dims }),
  };
}

/** Which view has the largest base; the first of several. */
export function indexOfLargest(views: readonly View[]): number {
  const sizes = views.map(realSize);
  return sizes.indexOf(Math.max(...sizes));
}

/** The axes that are real in any view: in the primary's order, those it lacks after their outer neighbour. */
export function orderOf({ views, dims }: Alignment, primary: number): CommonAxis[] {
  const real = dims.flat().filter((common) => common.own.some((axis) => axis));
  const axes = views[primary]?.axes ?? [];
  const place = (common: CommonAxis) => {
    const own = common.own[primary];
    return own ? axes.indexOf(own) : -1;
  };
  const order = real.filter((common) => place(common) >= 0).sort((a, b) => place(a) - place(b));
  for (const [i, common] of real.entries()) {
    if (place(common) >= 0) continue;
    const outer = i > 0 ? real[i - 1] : undefined;
    order.splice(outer ? order.indexOf(outer) + 1 : 0, 0, common);
  }
  return order;
}

interface Group {
  readonly size: number;
  /** For each view, whether it has these axes. */
  readonly real: readonly boolean[];
}

/** Neighbouring axes that the same views have, as one: fewer dimensions broadcast faster. */
function groupsOf({ views }: Alignment, primary: number, order: readonly CommonAxis[]): readonly Group[] {
  const groups: Group[] = [];
  for (const common of order) {
    const real = common.own.map((axis) => axis !== undefined);
    const last = groups.at(-1);
    if (last?.real.every((value, i) => value === real[i]))
      groups[groups.length - 1] = { size: last.size * common.size, real };
    else groups.push({ size: common.size, real });
  }
  const view = views[primary];
  const inOrder = view && order.every((common, i) => common.own[primary] === view.axes[i]);
  return (inOrder && cutLike(view.base.shape, groups)) || groups;
}

/** The groups cut further, to be the dimensions of `shape`, so that the primary needs no reshape. */
function cutLike(shape: readonly number[], groups: readonly Group[]): readonly Group[] | undefined {
  const out: Group[] = [];
  let next = 0;
  let room = 1;
  for (const size of shape) {
    if (room === 1 && size > 1) room = groups[next++]?.size ?? 0;
    if (size > room || room % size !== 0) return undefined;
    const real = groups[next - 1]?.real;
    out.push({ size, real: real ?? [] });
    room /= size;
  }
  return next === groups.length && room === 1 ? out : undefined;
}

/** NumPy's rule for shapes that fit each other. */
export function broadcastShapes(...shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, i) =>
    shapes.reduce((size, shape) => {
      const one = shape[i - rank + shape.length] ?? 1;
      return one === 1 ? size : one;
    }, 1),
  );
}
