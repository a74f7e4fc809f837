/** Rules of the primitives that index: gather, scatter, sort. */

import type { GraphBuilder, Value } from "../graph.js";
import { broadcastShapes } from "../views/align.js";
import {
  type Axis,
  broadcast,
  contiguous,
  expose,
  isolate,
  isReal,
  shapeOf,
  transpose,
  type View,
  viewOf,
} from "../views/view.js";
import { logical, select, signedOrder } from "./arithmetic.js";
import { castView, inputOf, outputOf, type Rule } from "./rule.js";

/** x[:, …indices, :]; an index outside of x is an error when it runs. */
const gather: Rule<"gather"> = (context) => {
  const { graph, params } = context;
  const { axis, outDim } = params;
  const x = inputOf(context, 0);
  const indices = context.inputs.slice(1);
  const indexShape = broadcastShapes(...indices.map(shapeOf));
  const [dim = 0] = axis;
  if (axis.length === 1 && (x.dims[dim] ?? []).some((one) => isReal(x, one))) {
    const index = contiguous(graph, broadcastTo(inputOf(context, 1), indexShape));
    return [gatherOne(graph, x, indexValue(graph, index), dim, outDim)];
  }
  const rest = x.dims.map((_, d) => d).filter((d) => !axis.includes(d));
  const data = contiguous(graph, transpose(x, [...axis, ...rest]));
  const at = stackIndices(graph, indices, indexShape);
  const restShape = data.shape.slice(axis.length);
  const base = graph.node("GatherND", [data, at], {
    dtype: data.dtype,
    shape: [...indexShape, ...restShape],
  });
  return [placeIndexDims(viewOf(base), indexShape.length, outDim)];
};

/** Along one dimension: the other axes stay where they are. */
function gatherOne(graph: GraphBuilder, x: View, index: Value, dim: number, outDim: number): View {
  const { view, axes } = isolate(graph, x, [dim]);
  const { value, at } = expose(graph, view, axes);
  const [place = 0] = at;
  const shape = value.shape.toSpliced(place, 1, ...index.shape);
  const base = graph.node("Gather", [value, index], { dtype: value.dtype, shape }, { axis: place });
  const indexDims = index.shape.map((size): Axis[] => (size === 1 ? [] : [{ size }]));
  const axis = axes[0] as Axis;
  return {
    base,
    axes: view.axes.toSpliced(view.axes.indexOf(axis), 1, ...indexDims.flat()),
    dims: view.dims.toSpliced(dim, 1).toSpliced(outDim, 0, ...indexDims),
  };
}

/** Moves `count` leading dimensions to `outDim`. */
function placeIndexDims(view: View, count: number, outDim: number): View {
  const dims = view.dims.map((_, d) => d);
  const rest = dims.slice(count);
  return transpose(view, [...rest.slice(0, outDim), ...dims.slice(0, count), ...rest.slice(outDim)]);
}

function broadcastTo(view: View, shape: readonly number[]): View {
  const missing = shape.length - view.dims.length;
  return broadcast(view, shape, shape.map((_, i) => i).slice(0, missing));
}

function indexValue(graph: GraphBuilder, index: Value): Value {
  return index.dtype === "int32" ? index : graph.cast(index, "int64");
}

/** Indices of one shape, as one int64 tensor [shape…, number of indices]. */
function stackIndices(graph: GraphBuilder, indices: readonly View[], shape: readonly number[]): Value {
  const columns = indices.map((view) =>
    graph.cast(graph.reshape(contiguous(graph, broadcastTo(view, shape)), [...shape, 1]), "int32"),
  );
  const [only] = columns;
  const output = { dtype: "int32" as const, shape: [...shape, columns.length] };
  const joint =
    columns.length === 1 && only ? only : graph.node("Concat", columns, output, { axis: shape.length });
  return graph.cast(joint, "int64");
}

/** Zeros with updates added (or put) at indices; an index outside is an error when it runs. */
const scatter: Rule<"scatter"> = (context) => {
  const { graph, params } = context;
  const { axis, outDim, op } = params;
  const { dtype } = outputOf(context);
  const carrier = dtype === "float32" ? dtype : "int32";
  const indices = context.inputs.slice(1);
  const indexShape = broadcastShapes(...indices.map(shapeOf));
  const count = indexShape.length;
  const updates = castView(graph, inputOf(context, 0), carrier);
  const dims = updates.dims.map((_, d) => d);
  const indexDims = dims.slice(outDim, outDim + count);
  const free = [...dims.slice(0, outDim), ...dims.slice(outDim + count)];
  const rows = contiguous(graph, transpose(updates, [...indexDims, ...free]));
  const rest = params.shape.map((_, d) => d).filter((d) => !axis.includes(d));
  const perm = [...axis, ...rest];
  const shape = perm.map((d) => params.shape[d] ?? 1);
  const zeros = graph.node("Expand", [graph.scalar(carrier, 0), graph.ints(shape)], {
    dtype: carrier,
    shape,
  });
  const base = graph.node(
    "ScatterND",
    [zeros, stackIndices(graph, indices, indexShape), rows],
    { dtype: carrier, shape },
    { reduction: op === "add" ? "add" : "none" },
  );
  const inverse = perm.map((_, d) => perm.indexOf(d));
  return [castView(graph, transpose(viewOf(base), inverse), dtype)];
};

const sort: Rule<"sort"> = (context) => [sortLast(context.graph, inputOf(context, 0)).values];

const argsort: Rule<"argsort"> = (context) => {
  const { values, indices } = sortLast(context.graph, inputOf(context, 0));
  return [values, indices];
};

/** Ascending along the last dimension, stable, NaN last. */
function sortLast(graph: GraphBuilder, view: View): { values: View; indices: View } {
  const { dtype } = view.base;
  const x = contiguous(graph, view);
  const order = dtype === "float32" ? orderWithNan(graph, x) : ascending(graph, sortKey(graph, x));
  const values = takeLast(graph, x, order);
  return { values: viewOf(values), indices: viewOf(graph.cast(order, "int32")) };
}

function sortKey(graph: GraphBuilder, x: Value): Value {
  return x.dtype === "uint32" ? signedOrder(graph, x, "int32") : graph.cast(x, "int32");
}

/** TopK takes the first of equals first, so it is stable. */
function ascending(graph: GraphBuilder, x: Value): Value {
  const size = x.shape.at(-1) ?? 1;
  const [, indices] = graph.nodeWithOutputs(
    "TopK",
    [x, graph.ints([size])],
    [
      { dtype: x.dtype, shape: x.shape },
      { dtype: "int64", shape: x.shape },
    ],
    { axis: -1, largest: 0, sorted: 1 },
  );
  return indices as Value;
}

function orderWithNan(graph: GraphBuilder, x: Value): Value {
  const isNan = logical(graph, "IsNaN", [x], x.shape);
  const clean = select(graph, [isNan, graph.scalar("float32", Number.POSITIVE_INFINITY), x], x.shape);
  const order = ascending(graph, clean);
  const nanLast = ascending(graph, takeLast(graph, graph.cast(isNan, "int32"), order));
  return takeLast(graph, order, nanLast);
}

function takeLast(graph: GraphBuilder, x: Value, indices: Value): Value {
  return graph.node("GatherElements", [x, indices], { dtype: x.dtype, shape: indices.shape }, { axis: -1 });
}

export const indexRules = { gather, scatter, sort, argsort };
