/**
 * Convolution and pooling by windows: every element of the window (or every window position, whichever are fewer) is
 * one strided slice, and the slices are joined. A convolution is then the product of patches and filter, the gradient
 * of its filter the product of the same patches and its output's gradient: one Gemm each.
 */

import type { GraphBuilder, Value } from "../graph.js";
import { concatenate, pad, slice } from "../views/movement.js";
import { arrange, isReal, merge, reshape, shapeOf, sizesOf, transpose, type View } from "../views/view.js";
import { add } from "./arithmetic.js";
import { dot } from "./dot.js";
import { groupedConvolution } from "./grouped-convolution.js";
import { castView, elementwise, inputOf, outputOf, type Rule } from "./rule.js";

type Sizes = readonly number[];

/** The windows of the last dimensions of a view. */
interface Windows {
  /** Elements of a window. */
  readonly window: Sizes;
  /** From one window to the next. */
  readonly strides: Sizes;
  /** From one element of a window to the next. */
  readonly dilation: Sizes;
}

/** x [vmap…, batch, in, size…], filter [vmap…, out, in, size…] → [vmap…, batch, out, size…]. */
export const convRule: Rule<"conv"> = (context) => {
  const grouped = groupedConvolution(context);
  if (grouped) return [grouped];
  const { graph, params } = context;
  const { vmapDims, strides, padding, lhsDilation, rhsDilation } = params;
  const { dtype } = outputOf(context);
  const filter = castView(graph, inputOf(context, 1), dtype);
  const window = shapeOf(filter).slice(vmapDims + 2);
  const front = Array.from({ length: vmapDims + 2 }, () => [0, 0] as const);
  const input = castView(graph, inputOf(context, 0), dtype);
  const dilated = dilate(graph, input, lhsDilation);
  const padded = pad(graph, dilated, [...front, ...padding]);
  const last = takeWindows(graph, channelsLast(graph, padded, vmapDims + 1), {
    window,
    strides,
    dilation: rhsDilation,
  });
  const n = window.length;
  const vmap = last.dims.slice(0, vmapDims);
  const [batch = [], channels = []] = last.dims.slice(vmapDims, vmapDims + 2);
  const places = last.dims.slice(vmapDims + 2, vmapDims + 2 + n);
  const elements = last.dims.slice(vmapDims + 2 + n);
  const patches = { ...last, dims: [...vmap, batch, [], ...places, [...channels, ...elements.flat()]] };
  const [out = [], ...rest] = filter.dims.slice(vmapDims);
  const weights = {
    ...filter,
    dims: [...filter.dims.slice(0, vmapDims), [], out, ...places.map(() => []), rest.flat()],
  };
  return [dot(graph, patches, weights, context.contrib)];
};

/** Small windows are cheapest to join where a pixel's channels lie together. */
function channelsLast(graph: GraphBuilder, given: View, dim: number): View {
  const view = merge(given);
  const channels = (view.dims[dim] ?? []).filter((axis) => isReal(view, axis));
  const spatial = view.dims.slice(dim + 1).flat();
  const at = Math.max(...channels.map((axis) => view.axes.indexOf(axis)));
  const isBefore = spatial.some((axis) => view.axes.indexOf(axis) > at);
  // A filter's gradient has the batch here and no reason to move it.
  if (channels.length === 0 || !isBefore) return view;
  const axes = [...view.axes.filter((axis) => !channels.includes(axis)), ...channels];
  return { ...view, base: arrange(graph, view, axes, sizesOf(axes)), axes };
}

/** [front…, size…] → [front…, windows…, window…]. */
export function takeWindows(graph: GraphBuilder, view: View, windows: Windows): View {
  const { window, strides, dilation } = windows;
  const n = window.length;
  if (n === 0) return view;
  const front = view.dims.length - n;
  const sizes = shapeOf(view).slice(front);
  const counts = countWindows(sizes, windows);
  if (isDisjoint(windows)) return cutWindows(graph, view, windows, counts);

  const overWindow = product(window) <= product(counts);
  const positions = allPositions(overWindow ? window : counts);
  const pieces = positions.map((position) => {
    const cuts = position.map((p, d) => {
      const [jump, step, count] = overWindow
        ? [dilation[d] ?? 1, strides[d] ?? 1, counts[d] ?? 1]
        : [strides[d] ?? 1, dilation[d] ?? 1, window[d] ?? 1];
      return { dim: front + d, start: p * jump, count, step };
    });
    const piece = slice(graph, view, cuts);
    return { ...piece, dims: [...piece.dims, []] };
  });
  const joined = pieces.length === 1 ? (pieces[0] as View) : concatenate(graph, pieces, view.dims.length);
  const shape = shapeOf(joined);
  const cut = reshape(graph, joined, [...shape.slice(0, -1), ...(overWindow ? window : counts)]);
  if (overWindow) return cut;
  const exchanged = range(n).map((d) => front + n + d);
  return transpose(cut, [...range(front), ...exchanged, ...range(n).map((d) => front + d)]);
}

/** Windows that do not overlap: no more than a reading of the same elements. */
function cutWindows(graph: GraphBuilder, view: View, { window, strides }: Windows, counts: Sizes): View {
  const n = window.length;
  const front = view.dims.length - n;
  const shape = shapeOf(view);
  const fitted = pad(
    graph,
    view,
    shape.map((size, d) =>
      d < front ? [0, 0] : [0, (counts[d - front] ?? 0) * (strides[d - front] ?? 0) - size],
    ),
  );
  const pairs = counts.flatMap((count, d) => [count, strides[d] ?? 1]);
  const cut = reshape(graph, fitted, [...shape.slice(0, front), ...pairs]);
  const kept = slice(
    graph,
    cut,
    window.map((count, d) => ({ dim: front + 2 * d + 1, start: 0, count, step: 1 })),
  );
  return transpose(kept, [
    ...range(front),
    ...range(n).map((d) => front + 2 * d),
    ...range(n).map((d) => front + 2 * d + 1),
  ]);
}

export const poolRule: Rule<"pool"> = (context) => {
  const { window, strides } = context.params;
  return [takeWindows(context.graph, inputOf(context, 0), undilated(window, strides))];
};

/** [front…, windows…, window…] → [front…, size…]: every element is added where it was taken from. */
export const poolTransposeRule: Rule<"pool_transpose"> = (context) => {
  const { graph, params } = context;
  const { inShape, window, strides } = params;
  const view = inputOf(context, 0);
  const n = window.length;
  const front = inShape.length - n;
  const sizes = inShape.slice(front);
  const windows = undilated(window, strides);
  const counts = countWindows(sizes, windows);
  if (isDisjoint(windows)) return [joinWindows(graph, view, windows, inShape, counts)];

  const overWindow = product(window) <= product(counts);
  const positions = allPositions(overWindow ? window : counts);
  const pieces = positions.map((position) => {
    const fixed = overWindow ? front + n : front;
    const piece = slice(
      graph,
      view,
      position.map((start, d) => ({ dim: fixed + d, start, count: 1, step: 1 })),
    );
    const flat = { ...piece, dims: piece.dims.toSpliced(fixed, n) };
    const spread = overWindow ? dilate(graph, flat, strides) : flat;
    const reached = shapeOf(spread).slice(front);
    return pad(graph, spread, [
      ...range(front).map(() => [0, 0] as const),
      ...position.map((p, d) => {
        const before = overWindow ? p : p * (strides[d] ?? 1);
        return [before, (sizes[d] ?? 0) - before - (reached[d] ?? 0)] as const;
      }),
    ]);
  });
  return [
    pieces.reduce((sum, piece) =>
      elementwise(graph, [sum, piece], inShape, ([a, b], shape) =>
        add(graph, [a as Value, b as Value], shape),
      ),
    ),
  ];
};

function joinWindows(
  graph: GraphBuilder,
  view: View,
  { window, strides }: Windows,
  inShape: Sizes,
  counts: Sizes,
): View {
  const n = window.length;
  const front = inShape.length - n;
  const paired = transpose(view, [...range(front), ...range(n).flatMap((d) => [front + d, front + n + d])]);
  const filled = pad(
    graph,
    paired,
    paired.dims.map((_, d) => {
      const axis = (d - front - 1) / 2;
      return d > front && Number.isInteger(axis) ? [0, (strides[axis] ?? 1) - (window[axis] ?? 1)] : [0, 0];
    }),
  );
  const whole = counts.map((count, d) => count * (strides[d] ?? 1));
  const joined = reshape(graph, filled, [...inShape.slice(0, front), ...whole]);
  return pad(
    graph,
    joined,
    inShape.map((size, d) => (d < front ? [0, 0] : [0, size - (whole[d - front] ?? 0)])),
  );
}

/** Puts `dilation − 1` zeros between the elements of the last dimensions. */
function dilate(graph: GraphBuilder, view: View, dilation: Sizes): View {
  if (dilation.every((d) => d === 1)) return view;
  const front = view.dims.length - dilation.length;
  const shape = shapeOf(view);
  const spatial = shape.slice(front);
  const spread = { ...view, dims: view.dims.flatMap((dim, d) => (d < front ? [dim] : [dim, []])) };
  const padded = pad(
    graph,
    spread,
    spread.dims.map((_, d) => {
      const axis = (d - front - 1) / 2;
      return d > front && Number.isInteger(axis) ? [0, (dilation[axis] ?? 1) - 1] : [0, 0];
    }),
  );
  const whole = spatial.map((size, d) => size * (dilation[d] ?? 1));
  const joined = reshape(graph, padded, [...shape.slice(0, front), ...whole]);
  return slice(
    graph,
    joined,
    spatial.map((size, d) => ({
      dim: front + d,
      start: 0,
      count: (size - 1) * (dilation[d] ?? 1) + 1,
      step: 1,
    })),
  );
}

function undilated(window: Sizes, strides: Sizes): Windows {
  return { window, strides, dilation: window.map(() => 1) };
}

function countWindows(sizes: Sizes, { window, strides, dilation }: Windows): number[] {
  return sizes.map((size, d) => {
    const reach = (dilation[d] ?? 1) * ((window[d] ?? 1) - 1);
    return Math.ceil((size - reach) / (strides[d] ?? 1));
  });
}

function isDisjoint({ window, strides, dilation }: Windows): boolean {
  return dilation.every((d) => d === 1) && window.every((size, d) => size <= (strides[d] ?? 1));
}

function allPositions(sizes: Sizes): number[][] {
  return sizes.reduce<number[][]>(
    (positions, size) => positions.flatMap((position) => range(size).map((p) => [...position, p])),
    [[]],
  );
}

function product(sizes: Sizes): number {
  return sizes.reduce((result, size) => result * size, 1);
}

function range(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}
