/**
 * Lowers a traced program to an ONNX model. Inputs and outputs are known by position alone, `i0`, `i1`, … and `o0`, …,
 * so programs of equal structure have the same bytes, whatever their tensors are called.
 */
import { sha256Hex } from "../../base/bytes.js";
import { KasminaError, messageOf } from "../../base/errors.js";
import { formatSpec, sizeOf } from "../../contracts/tensor.js";
import type { Atom, Equation, Ir, Primitive } from "../ir.js";
import type { LoweredProgram, LoweredTensor, LoweringTarget, TracedProgram } from "../trace.js";
import { GraphBuilder, type GraphNode, type Value } from "./graph.js";
import { bytesOf, ELEMENT_BYTES } from "./onnx-type.js";
import { WEBGPU } from "./operator-set.js";
import { giveOut, type Part, packedPairs, takeIn } from "./packing.js";
import type { Lowered, Rule } from "./rules/rule.js";
import { RULES } from "./rules/rules.js";
import { contiguous, isReal, type View, viewOf } from "./views/view.js";
import { type RewrittenGraph, rewriteForWebGpu } from "./webgpu.js";
import { writeOnnx } from "./write-onnx.js";

export interface LoweredGraph {
  readonly graph: GraphBuilder;
  /** The value of each input of the program. */
  readonly inputs: readonly Value[];
  /** The inputs of the graph, with what lies in each. */
  readonly parts: readonly Part[];
  /** Distinct, none an input or a constant. */
  readonly outputs: readonly Value[];
}

/**
 * @param target what the model is to run on
 * @throws KasminaError `engine` with the program's name, the primitive and the shapes it cannot lower
 */
export function lowerProgram(
  name: string,
  program: Pick<TracedProgram, "ir" | "inputs" | "outputs">,
  target: LoweringTarget = "cpu",
): LoweredProgram {
  return target === "cpu" ? lowerForCpu(name, program) : lowerForWebGpu(name, program);
}

function lowerForCpu(
  name: string,
  program: Pick<TracedProgram, "ir" | "inputs" | "outputs">,
): LoweredProgram {
  const pairs = packedPairs(program);
  const packed = pairs.map(({ input }) => input);
  const { graph, parts: inputs, outputs: results } = lowerGraph(name, program.ir, { contrib: true, packed });
  const outputs = giveOut(
    graph,
    results,
    pairs.map(({ output }) => output),
  );
  const model = writeOnnx({
    nodes: graph.nodes,
    inputs: inputs.map(({ value }, i) => ({ name: `i${i}`, value })),
    outputs: outputs.map(({ value }, i) => ({ name: `o${i}`, value })),
  });
  return loweredAs("cpu", model, graph.nodes, inputs, outputs);
}

/** What a program is for the WebGPU provider, as a graph. What it returns is fed to another as it is: in its own shape. */
export function webGpuGraph(name: string, ir: Ir): RewrittenGraph & Pick<LoweredGraph, "parts"> {
  const { graph, inputs, parts, outputs } = lowerGraph(name, ir, { contrib: false, exactShapes: true });
  return { ...rewriteForWebGpu(graph.nodes, inputs, outputs), parts };
}

/** Every tensor alone: state and gradients stay on the device, where nothing is gained by laying them end to end. */
function lowerForWebGpu(name: string, { ir }: Pick<TracedProgram, "ir">): LoweredProgram {
  const { graph, inputs, parts, outputs } = webGpuGraph(name, ir);
  const model = writeOnnx({
    nodes: graph.nodes,
    inputs: inputs.map((value, i) => ({ name: `i${i}`, value })),
    outputs: outputs.map((value, i) => ({ name: `o${i}`, value })),
    operatorSet: WEBGPU,
  });
  return loweredAs(
    "webgpu",
    model,
    graph.nodes,
    parts,
    outputs.map((value, place) => ({ value, places: [place] })),
  );
}

function loweredAs(
  target: LoweringTarget,
  model: Uint8Array,
  nodes: readonly GraphNode[],
  ins: readonly Part[],
  outs: readonly Part[],
): LoweredProgram {
  const layout = { inputs: ins.map(tensorOf), outputs: outs.map(tensorOf) };
  const digest = sha256Hex(`${sha256Hex(model)} ${JSON.stringify(layout)}`);
  return { target, model, valueBytes: valueBytesOf(nodes), digest, ...layout };
}

function valueBytesOf(nodes: readonly GraphNode[]): number {
  const values = nodes.flatMap(({ outputs }) => outputs);
  return values.reduce((bytes, { dtype, shape }) => bytes + ELEMENT_BYTES[dtype] * sizeOf(shape), 0);
}

function tensorOf({ value: { shape }, places }: Part): LoweredTensor {
  return { shape, places };
}

export interface LowerOptions {
  /** Use ONNX Runtime's own operators where they are faster. */
  readonly contrib: boolean;
  /** Outputs have the program's own shapes, which can cost a copy. */
  readonly exactShapes?: boolean;
  /** Places of inputs that come end to end in one vector. Default none. */
  readonly packed?: readonly number[];
}

export function lowerGraph(name: string, ir: Ir, options: LowerOptions): LoweredGraph {
  const graph = new GraphBuilder();
  const views = new Map<number, View>();
  const producers = new Map<number, Lowered>();
  const { values: inputs, parts } = takeIn(graph, ir.inputs, options.packed ?? []);
  for (const [i, { id }] of ir.inputs.entries()) {
    const value = inputs[i];
    if (value) views.set(id, viewOf(value));
  }
  for (const { variable, tensor } of ir.constants) {
    views.set(variable.id, viewOf(graph.constant(variable.dtype, variable.shape, bytesOf(tensor.data))));
  }
  const viewOfAtom = (atom: Atom): View => {
    if (atom.kind === "literal") return viewOf(graph.scalar(atom.dtype, atom.value));
    const view = views.get(atom.id);
    if (!view) throw new RangeError(`%${atom.id} is used before it is computed`);
    return view;
  };
  for (const [i, equation] of ir.equations.entries()) {
    graph.origin = i;
    const lowered: Lowered = {
      equation,
      inputs: equation.inputs.map(viewOfAtom),
      producers: equation.inputs.map((atom) =>
        atom.kind === "variable" ? producers.get(atom.id) : undefined,
      ),
    };
    const results = applyRule(name, graph, lowered, options.contrib);
    for (const [o, variable] of equation.outputs.entries()) {
      const view = results[o];
      if (!view)
        throw new KasminaError("engine", `lowering ${name}: ${describe(equation)} has no result ${o}`);
      views.set(variable.id, view);
      producers.set(variable.id, lowered);
    }
  }
  graph.origin = -1;
  const outputs = distinct(
    graph,
    ir.outputs.map((atom) => outputValue(graph, viewOfAtom(atom), options.exactShapes ?? false)),
  );
  return { graph, inputs, parts, outputs };
}

function applyRule(
  name: string,
  graph: GraphBuilder,
  { equation, inputs, producers }: Lowered,
  contrib: boolean,
): readonly View[] {
  const { primitive, params, outputs } = equation;
  if (outputs.some(({ shape }) => shape.includes(0))) {
    throw new KasminaError("engine", `lowering ${name}: ${describe(equation)} has no elements`);
  }
  try {
    return (RULES[primitive] as Rule)({ equation, inputs, producers, graph, params, outputs, contrib });
  } catch (error) {
    const message =
      error instanceof KasminaError ? error.message : `${describe(equation)}: ${messageOf(error)}`;
    throw new KasminaError("engine", `lowering ${name}: ${message}`, {
      cause: error,
      details: { program: name, primitive },
    });
  }
}

/** `dot(float32[64,1,784], float32[1,256,784])`, for errors. */
export function describe(equation: Equation<Primitive>): string {
  return `${equation.primitive}(${equation.inputs.map(formatSpec).join(", ")})`;
}

/** A tensor with the view's elements in row-major order; without `exact`, of any shape that saves a copy. */
function outputValue(graph: GraphBuilder, view: View, exact: boolean): Value {
  const value = contiguous(graph, view);
  const inOrder = view.dims.flat().every((axis, i) => isReal(view, axis) && axis === view.axes[i]);
  return inOrder && !exact ? view.base : value;
}

/** Every output a value of its own: not an input, not a constant, not twice the same. */
function distinct(graph: GraphBuilder, values: readonly Value[]): Value[] {
  const taken = new Set<Value>();
  return values.map((value) => {
    const isOwn = graph.producer(value) !== undefined && !taken.has(value);
    const own = isOwn ? value : graph.copy(value);
    taken.add(own);
    return own;
  });
}
