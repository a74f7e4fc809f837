/**
 * Convolutions of many groups, depthwise ones above all, as ONNX's own Conv and ConvTranspose. A product of patches
 * would hold a matrix a group with a handful of rows each; ONNX Runtime's kernels train such a network two to four times faster.
 *
 * Traced, a group is a mapped dimension, and so are the two gradients: that of the input is a convolution with the filter turned
 * round (its input spread by the stride, which is what ConvTranspose is for), that of the filter one in which channels and
 * batch have changed places.
 *
 * https://onnx.ai/onnx/operators/onnx__Conv.html, https://onnx.ai/onnx/operators/onnx__ConvTranspose.html
 */
import type { Value } from "../graph.js";
import { flip, pad } from "../views/movement.js";
import { contiguous, isReal, reshape, shapeOf, transpose, type View, viewOf } from "../views/view.js";
import { asPrimitive, type Context, inputOf, outputOf } from "./rule.js";

type Pair = readonly [number, number];

/** x [group, batch, in, size…] and filter [group, out, in, window…], both different in each group. */
interface Grouped {
  readonly x: View;
  readonly filter: View;
  readonly groups: number;
  /** Spatial dimensions, counted from 0 in the views. */
  readonly spatial: readonly number[];
}

/** [group, batch, out, size…] by Conv or ConvTranspose; undefined where there are no groups, or neither says it. */
export function groupedConvolution(context: Context<"conv">): View | undefined {
  const { params } = context;
  const [x, filter] = [inputOf(context, 0), inputOf(context, 1)];
  const groups = shapeOf(x)[0] ?? 1;
  const isMapped = (view: View): boolean => (view.dims[0] ?? []).some((axis) => isReal(view, axis));
  if (params.vmapDims !== 1 || groups === 1 || !isMapped(x) || !isMapped(filter)) return undefined;
  if ([x, filter].some((view) => view.base.dtype !== "float32")) return undefined;
  const spatial = params.strides.map((_, d) => d + 3);
  if (spatial.length === 0 || spatial.length > 3) return undefined;
  const grouped = { x, filter, groups, spatial };
  const isSpread = params.lhsDilation.some((one) => one > 1);
  return isSpread ? transposedConvolution(context, grouped) : plainConvolution(context, grouped);
}

function plainConvolution(context: Context<"conv">, { x, filter, groups, spatial }: Grouped): View {
  const { graph, params } = context;
  // Conv has no negative padding: what is cut off is cut off before.
  const cut = params.padding.map((pair) => pair.map((width) => Math.min(0, width)) as unknown as Pair);
  const shortened = pad(graph, x, [[0, 0], [0, 0], [0, 0], ...cut]);
  const [, out = 1, channels = 1, ...window] = shapeOf(filter);
  const weights = reshape(graph, filter, [groups * out, channels, ...window]);
  const value = graph.node(
    "Conv",
    [batchFirst(context, shortened, spatial), contiguous(graph, weights)],
    outputSpec(context, groups),
    {
      group: groups,
      strides: params.strides,
      dilations: params.rhsDilation,
      pads: paddings(params.padding),
    },
  );
  return groupFirst(context, value, groups);
}

/** Spread by the stride: undefined where it has a stride as well, or more padding than ConvTranspose can express. */
function transposedConvolution(
  context: Context<"conv">,
  { x, filter, groups, spatial }: Grouped,
): View | undefined {
  const { graph, params } = context;
  const [, out = 1, channels = 1, ...window] = shapeOf(filter);
  const reach = window.map((size, d) => (size - 1) * (params.rhsDilation[d] ?? 1));
  const before = params.padding.map(([left], d) => (reach[d] ?? 0) - left);
  const after = params.padding.map(([, right], d) => (reach[d] ?? 0) - right);
  const extra = after.map((width) => Math.max(0, -width));
  const isBeyond = extra.some((width, d) => width >= (params.lhsDilation[d] ?? 1));
  if (params.strides.some((stride) => stride > 1) || before.some((width) => width < 0) || isBeyond) {
    return undefined;
  }
  const turned = unturned(context) ?? flip(graph, filter, spatial);
  const exchanged = transpose(turned, [0, 2, 1, ...spatial]);
  const weights = reshape(graph, exchanged, [groups * channels, out, ...window]);
  const value = graph.node(
    "ConvTranspose",
    [batchFirst(context, x, spatial), contiguous(graph, weights)],
    outputSpec(context, groups),
    {
      group: groups,
      strides: params.lhsDilation,
      dilations: params.rhsDilation,
      pads: paddings(before.map((width, d): Pair => [width, Math.max(0, after[d] ?? 0)])),
      output_padding: extra,
    },
  );
  return groupFirst(context, value, groups);
}

/** The filter before it was turned round, where it was: ConvTranspose turns it by itself. */
function unturned({ producers, params }: Context<"conv">): View | undefined {
  const turned = asPrimitive(producers[1], "flip");
  const { axis } = turned?.equation.params ?? {};
  const isAll =
    params.strides.every((_, d) => axis?.includes(d + 3)) && axis?.length === params.strides.length;
  return isAll ? turned?.inputs[0] : undefined;
}

/** [group, batch, channels, size…] → [batch, group·channels, size…], row-major. */
function batchFirst({ graph }: Context, view: View, spatial: readonly number[]): Value {
  const [groups = 1, batch = 1, channels = 1, ...sizes] = shapeOf(view);
  const moved = transpose(view, [1, 0, 2, ...spatial]);
  return contiguous(graph, reshape(graph, moved, [batch, groups * channels, ...sizes]));
}

/** [batch, group·out, size…] → [group, batch, out, size…]; nothing is moved. */
function groupFirst({ graph }: Context, value: Value, groups: number): View {
  const [batch = 1, channels = 1, ...sizes] = value.shape;
  const cut = reshape(graph, viewOf(value), [batch, groups, channels / groups, ...sizes]);
  return transpose(cut, [1, 0, 2, ...sizes.map((_, d) => d + 3)]);
}

function outputSpec(context: Context<"conv">, groups: number) {
  const { shape, dtype } = outputOf(context);
  const [, batch = 1, out = 1, ...sizes] = shape;
  return { dtype, shape: [batch, groups * out, ...sizes] };
}

/** ONNX's order: all before, then all after. */
function paddings(pairs: readonly Pair[]): readonly number[] {
  return [0, 1].flatMap((side) => pairs.map((pair) => Math.max(0, pair[side] ?? 0)));
}
