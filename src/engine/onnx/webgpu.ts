/**
 * Rewrites a graph for ONNX Runtime's WebGPU provider: a node that 1.30 has for the CPU alone is said by nodes that it has for the
 * device, which give the same elements. What has no row here and no code on the device is refused by name when the model is
 * compiled (native/gpu/device-session.ts); nothing is ever run on the CPU instead.
 *
 * Found out by asking the provider, node by node (native/gpu/webgpu.test.ts asks again).
 */
import { GraphBuilder, type GraphNode, liveNodes, type Value, type ValueSpec } from "./graph.js";
import { bytesOf, type OnnxType, wholeNumbers } from "./onnx-type.js";

export interface RewrittenGraph {
  readonly graph: GraphBuilder;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

/** The nodes that `outputs` need, rewritten into a graph of their own. */
export function rewriteForWebGpu(
  nodes: readonly GraphNode[],
  inputs: readonly Value[],
  outputs: readonly Value[],
): RewrittenGraph {
  const graph = new GraphBuilder();
  const values = new Map(inputs.map((input) => [input.id, graph.input(input.dtype, input.shape)]));
  const movedOf = (value: Value): Value => {
    if (value.constant) return graph.constant(value.dtype, value.shape, value.constant);
    const known = values.get(value.id);
    if (!known) throw new RangeError(`value ${value.id} is used before it is computed`);
    return known;
  };
  for (const node of liveNodes(nodes, outputs)) {
    graph.origin = node.origin;
    const made = rewritten(graph, { ...node, inputs: node.inputs.map(movedOf) });
    for (const [i, { id }] of node.outputs.entries()) {
      const value = made[i];
      if (value) values.set(id, value);
    }
  }
  return { graph, inputs: inputs.map(movedOf), outputs: outputs.map(movedOf) };
}

/** Outputs of a node, computed by nodes that the provider has. */
function rewritten(graph: GraphBuilder, node: GraphNode): readonly Value[] {
  const [first, second] = node.inputs;
  if (first?.dtype === "bool" && NOT_OF_BOOL.has(node.op)) return asWholeNumbers(graph, node);
  const [output] = node.outputs;
  const rewrite = REWRITES[node.op];
  const other =
    rewrite && first && output && rewrite({ graph, node, first, second: second ?? first, output });
  if (other) return [other];
  // A copy is a value of its own: equal nodes would be one.
  if (node.op === "Identity" && first) return [graph.copy(first)];
  return graph.nodeWithOutputs(node.op, node.inputs, node.outputs, node.attributes);
}

/** What only moves, joins, selects from or compares elements, so that it can be done to 0 and 1. */
const NOT_OF_BOOL: ReadonlySet<string> = new Set([
  "Concat",
  "Equal",
  "GatherND",
  "Identity",
  "Pad",
  "ReduceMax",
  "ReduceMin",
  "Slice",
  "Split",
  "Transpose",
]);

/** The node on int32, of which the provider has it, with its results as bool again. */
function asWholeNumbers(graph: GraphBuilder, node: GraphNode): readonly Value[] {
  const through = ({ dtype }: ValueSpec): OnnxType => (dtype === "bool" ? "int32" : dtype);
  const inputs = node.inputs.map((input) => graph.cast(input, through(input)));
  // What a comparison gives is bool whatever it compares.
  const isComparison = node.op === "Equal";
  const outputs = node.outputs.map((one) => ({ ...one, dtype: isComparison ? one.dtype : through(one) }));
  const made = rewritten(graph, { ...node, inputs, outputs });
  return made.map((value, i) => graph.cast(value, node.outputs[i]?.dtype ?? value.dtype));
}

interface Operands {
  readonly graph: GraphBuilder;
  readonly node: GraphNode;
  readonly first: Value;
  /** The first again where there is one alone. */
  readonly second: Value;
  readonly output: ValueSpec;
}

/** Undefined where the provider has the node as it is, or where nothing that it has gives the same. */
type Rewrite = (operands: Operands) => Value | undefined;

const REWRITES: Readonly<Record<string, Rewrite>> = {
  BitShift: shiftByConstant,
  BitwiseXor: flipHighestBit,
  Exp: ({ graph, node, first, output }) =>
    // WGSL lets it give anything for NaN: SwiftShader infinity, whose reciprocal in a sigmoid is a sound 0.
    select(
      graph,
      graph.node("Equal", [first, first], { ...output, dtype: "bool" }),
      same(graph, node),
      first,
    ),
  IsNaN: ({ graph, first, output }) => not(graph, graph.node("Equal", [first, first], output)),
  Log: ({ graph, node, first, output }) => {
    // Likewise of NaN and of what is below 0.
    const isDefined = graph.node("LessOrEqual", [graph.scalar("float32", 0), first], {
      ...output,
      dtype: "bool",
    });
    return select(graph, isDefined, same(graph, node), graph.scalar("float32", Number.NaN));
  },
  Mod: remainder,
  Or: ({ graph, first, second, output }) =>
    not(graph, graph.node("And", [not(graph, first), not(graph, second)], output)),
  Relu: rectified,
  Slice: ({ graph, node, first }) =>
    first.dtype === "float32" ? undefined : slicedByGather(graph, node, first),
  Xor: ({ graph, first, second, output }) =>
    not(graph, graph.node("Equal", [graph.cast(first, "int32"), graph.cast(second, "int32")], output)),
};

function not(graph: GraphBuilder, x: Value): Value {
  return graph.node("Not", [x], x);
}

/** The node as it is. */
function same(graph: GraphBuilder, { op, inputs, outputs, attributes }: GraphNode): Value {
  const [value] = graph.nodeWithOutputs(op, inputs, outputs, attributes);
  if (!value) throw new RangeError(`${op} has no output`);
  return value;
}

/** condition ? a : b, of the shape of the condition. */
function select(graph: GraphBuilder, condition: Value, a: Value, b: Value): Value {
  return graph.node("Where", [condition, a, b], { dtype: a.dtype, shape: condition.shape });
}

/** x < 0 ? 0 : x, which NaN goes through. WGSL's max gives 0 for it, and a training gone wrong would look sound. */
function rectified({ graph, first, output }: Operands): Value {
  const zero = graph.scalar(first.dtype, 0);
  const isNegative = graph.node("Less", [first, zero], { ...output, dtype: "bool" });
  return select(graph, isNegative, zero, first);
}

/** x · 2ⁿ or x / 2ⁿ: of uint32, both drop what a shift drops. */
function shiftByConstant({ graph, node, first, second, output }: Operands): Value | undefined {
  const places = uint32Constant(second);
  if (places === undefined || places > 31) return undefined;
  const op = node.attributes.direction === "LEFT" ? "Mul" : "Div";
  return graph.node(op, [first, graph.scalar("uint32", 2 ** places)], output);
}

const HIGHEST_BIT = 2 ** 31;

/** x + 2³¹ of uint32, whose carry is lost. */
function flipHighestBit({ graph, first, second, output }: Operands): Value | undefined {
  if (uint32Constant(second) === HIGHEST_BIT) return graph.node("Add", [first, second], output);
  return undefined;
}

function uint32Constant({ dtype, constant }: Value): number | undefined {
  if (dtype !== "uint32" || constant?.length !== 4) return undefined;
  return new DataView(constant.buffer, constant.byteOffset, 4).getUint32(0, true);
}

/** a − (a/b)·b of whole numbers. Of floats that is not the remainder: a/b rounds. */
function remainder({ graph, first, second, output }: Operands): Value | undefined {
  if (output.dtype === "float32") return undefined;
  const quotient = graph.node("Div", [first, second], output);
  return graph.node("Sub", [first, graph.node("Mul", [quotient, second], output)], output);
}

/** Along each axis, the places that the slice takes. */
function slicedByGather(
  graph: GraphBuilder,
  { inputs, outputs: [output] }: GraphNode,
  x: Value,
): Value | undefined {
  const [starts, , axes, steps] = inputs.slice(1).map(({ constant }) => constant && wholeNumbers(constant));
  if (!starts || !axes || !output) return undefined;
  return axes.reduce((value, axis, i) => {
    const [size = 1, count = 1] = [x.shape[axis], output.shape[axis]];
    const given = starts[i] ?? 0;
    const start = Math.min(given < 0 ? given + size : given, size - 1);
    const places = Int32Array.from({ length: count }, (_, place) => start + place * (steps?.[i] ?? 1));
    const index = graph.constant("int32", [count], bytesOf(places));
    const shape = value.shape.with(axis, count);
    return graph.node("Gather", [value, index], { dtype: value.dtype, shape }, { axis });
  }, x);
}
