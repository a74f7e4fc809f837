/** Rules of the primitives that move elements: most only change the view. */
import { equalShapes } from "../graph.js";
import { concatenate, flip, pad, slice } from "../views/movement.js";
import {
  broadcast,
  expose,
  isolate,
  isReal,
  reshape,
  shapeOf,
  transpose,
  type View,
  withResized,
} from "../views/view.js";
import { asPrimitive, type Context, castView, inputOf, type Lowered, outputOf, type Rule } from "./rule.js";
import { transposedWindows } from "./transposed-windows.js";

const shrink: Rule<"shrink"> = (context) => [
  transposedWindows(context) ??
    slice(
      context.graph,
      inputOf(context, 0),
      context.params.slice.map(([start, end], dim) => ({ dim, start, count: end - start, step: 1 })),
    ),
];

/** Joins all at once what jax-js joins in groups of eight. */
const concatenateRule: Rule<"concatenate"> = (context) => {
  const { graph, params } = context;
  const { dtype } = outputOf(context);
  const views = context.inputs
    .flatMap((view, i) => pieces(view, context.producers[i], params.axis))
    .map((view) => castView(graph, view, dtype));
  return [concatenate(graph, views, params.axis)];
};

/** The operands of a concatenation along the same axis, else the view itself. */
function pieces(view: View, producer: Lowered | undefined, axis: number): readonly View[] {
  const joined = asPrimitive(producer, "concatenate");
  return joined?.equation.params.axis === axis ? joined.inputs : [view];
}

const split: Rule<"split"> = (context) => {
  const { graph, params } = context;
  const { axis: dim, sizes } = params;
  const given = inputOf(context, 0);
  const starts = sizes.map((_, i) => sizes.slice(0, i).reduce((sum, size) => sum + size, 0));
  if (sizes.length === 1) return [given];
  if (!(given.dims[dim] ?? []).some((axis) => isReal(given, axis))) {
    return sizes.map((size, i) =>
      slice(graph, given, [{ dim, start: starts[i] ?? 0, count: size, step: 1 }]),
    );
  }
  const { view, axes } = isolate(graph, given, [dim]);
  const { value, at } = expose(graph, view, axes);
  const [place = 0] = at;
  const outputs = graph.nodeWithOutputs(
    "Split",
    [value, graph.ints(sizes)],
    sizes.map((size) => ({ dtype: value.dtype, shape: value.shape.with(place, size) })),
    { axis: place },
  );
  return outputs.map((base, i) => withResized(view, base, axes, [sizes[i] ?? 1]));
};

/** ONNX Runtime pads no uint32 and no bool of its own accord in every version: they travel as int32. */
const padRule: Rule<"pad"> = (context) => {
  const { graph, params } = context;
  const view = inputOf(context, 0);
  const { dtype } = view.base;
  if (dtype === "float32" || dtype === "int32") return [pad(graph, view, params.width)];
  return [castView(graph, pad(graph, castView(graph, view, "int32"), params.width), dtype)];
};

const broadcastRule: Rule<"broadcast"> = (context) => [
  broadcast(inputOf(context, 0), context.params.shape, context.params.axis),
];

const reshapeRule: Rule<"reshape"> = (context) => {
  const view = inputOf(context, 0);
  const { shape } = context.params;
  return [equalShapes(shapeOf(view), shape) ? view : reshape(context.graph, view, shape)];
};

export const movementRules = {
  transpose: ((context: Context<"transpose">) => [
    transpose(inputOf(context, 0), context.params.perm),
  ]) as Rule<"transpose">,
  broadcast: broadcastRule,
  reshape: reshapeRule,
  flip: ((context: Context<"flip">) => [
    flip(context.graph, inputOf(context, 0), context.params.axis),
  ]) as Rule<"flip">,
  shrink,
  pad: padRule,
  concatenate: concatenateRule,
  split,
};
