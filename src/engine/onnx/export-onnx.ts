/**
 * Exports a forward pass as a plain ONNX file: standard operators only, parameters as initializers, the batch
 * dimension free. The pass is traced and lowered for two batch sizes; what differs between the two graphs is where the
 * batch size stands, and is replaced by it.
 */
import { KasminaError } from "../../base/errors.js";
import { specOf, type Tensors } from "../../contracts/tensor.js";
import { type ProgramDefinition, type TracedProgram, trace } from "../trace.js";
import { equalShapes, type GraphBuilder, type GraphNode, liveNodes, type Value } from "./graph.js";
import { type LoweredGraph, lowerGraph } from "./lower.js";
import { bytesOf, wholeNumbers } from "./onnx-type.js";
import { type Dimension, writeOnnx } from "./write-onnx.js";

/** Primes, large, so that no other size of a network is one of them or has it as a factor. */
const BATCH_SIZES = [1009, 2003] as const;
const BATCH = "batch";

export interface OnnxExport {
  /** Named in errors. */
  readonly name: string;
  /** The forward pass at a batch size: `state` are the parameters, `batch` one or more inputs [batch, ...]. */
  readonly definition: (batch: number) => ProgramDefinition;
  /** Becomes the initializers, by path. */
  readonly parameters: Tensors;
  /** Written into the model's metadata_props. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Of the model; default: the oldest that has all that the pass needs. */
  readonly opset?: number;
}

/**
 * The model's bytes. Inputs and outputs bear the names of the definition's batch and outputs.
 * @throws KasminaError `engine` where the pass does something else for another batch size
 */
export function exportOnnx(options: OnnxExport): Uint8Array {
  const [one, two] = [lowerAt(options, BATCH_SIZES[0]), lowerAt(options, BATCH_SIZES[1])];
  const graph = new BatchFreeGraph(options, one, two);
  const isParameter = one.traced.inputs.map(({ role }) => role === "state");
  const parameters = new Map(
    one.inputs.flatMap((value, i) => (isParameter[i] ? [[value, one.traced.inputs[i]?.name ?? ""]] : [])),
  );
  const inputs = one.inputs.flatMap((value, i) =>
    isParameter[i]
      ? []
      : [named(one.traced.inputs[i]?.name ?? "", value, freeShape(value, two.inputs[i], options.name))],
  );
  const [input] = inputs;
  if (!input) throw new KasminaError("engine", `exporting ${options.name}: it has no input`);
  const names = new Map<Value, string>();
  for (const [value, path] of parameters) {
    const tensor = options.parameters[path];
    if (!tensor) throw new KasminaError("engine", `exporting ${options.name}: no parameter ${path}`);
    const constant = { ...value, ...specOf(tensor), constant: bytesOf(tensor.data) };
    names.set(constant, path);
    graph.replace(value, constant);
  }
  const built = graph.build(input.value);
  const { opset } = options;
  const nodes =
    opset !== undefined && opset < GEMM_ADDEND_OPTIONAL_SINCE ? withAddends(built, one.graph) : built;
  return writeOnnx({
    nodes,
    inputs,
    outputs: one.outputs.map((value, i) =>
      named(one.traced.outputs[i]?.name ?? "", value, freeShape(value, two.outputs[i], options.name)),
    ),
    names,
    metadata: options.metadata ?? {},
    ...(opset !== undefined && { operatorSet: { version: opset, irVersion: IR_VERSION } }),
  });
}

const GEMM_ADDEND_OPTIONAL_SINCE = 11;
/** Of a model for any operator set: ONNX Runtime reads all up to it. */
const IR_VERSION = 8n;

/** Gemm adds 0 where it has to add something. */
function withAddends(nodes: readonly GraphNode[], graph: GraphBuilder): GraphNode[] {
  return nodes.map((node) =>
    node.op === "Gemm" && node.inputs.length === 2
      ? { ...node, inputs: [...node.inputs, graph.scalar("float32", 0)] }
      : node,
  );
}

interface LoweredAt extends LoweredGraph {
  readonly traced: TracedProgram;
  readonly nodes: readonly GraphNode[];
}

function lowerAt({ name, definition }: OnnxExport, batch: number): LoweredAt {
  const traced = trace(definition(batch));
  const lowered = lowerGraph(name, traced.ir, { contrib: false, exactShapes: true });
  return { ...lowered, traced, nodes: liveNodes(lowered.graph.nodes, lowered.outputs) };
}

function named(name: string, value: Value, shape: readonly Dimension[]) {
  return { name, value, shape };
}

/** The shape with `batch` where the batch size stands. */
function freeShape(one: Value, two: Value | undefined, name: string): Dimension[] {
  return one.shape.map((size, i) => {
    if (size === two?.shape[i]) return size;
    if (size === BATCH_SIZES[0] && two?.shape[i] === BATCH_SIZES[1]) return BATCH;
    throw new KasminaError("engine", `exporting ${name}: a size of [${one.shape}] grows with the batch`);
  });
}

/** How a whole number depends on the batch size: `factor`·batch + `offset`. */
interface Affine {
  readonly factor: number;
  readonly offset: number;
}

class BatchFreeGraph {
  readonly #options: OnnxExport;
  readonly #one: LoweredAt;
  readonly #two: LoweredAt;
  readonly #replaced = new Map<number, Value>();

  constructor(options: OnnxExport, one: LoweredAt, two: LoweredAt) {
    this.#options = options;
    this.#one = one;
    this.#two = two;
  }

  /** Uses another value wherever `value` is read. */
  replace(value: Value, by: Value): void {
    this.#replaced.set(value.id, by);
  }

  /** The nodes of the first graph, with what depends on the batch computed from `input`. */
  build(input: Value): readonly GraphNode[] {
    const { nodes, graph } = this.#one;
    if (nodes.length !== this.#two.nodes.length) throw this.#differs("another number of nodes");
    const before = graph.nodes.length;
    const inputs = nodes.map((node, i) => {
      const other = this.#two.nodes[i];
      if (node.op !== other?.op || JSON.stringify(node.attributes) !== JSON.stringify(other.attributes)) {
        throw this.#differs(`${node.op} becomes ${other?.op}`);
      }
      return node.inputs.map((value, j) => this.#unify(node, value, other.inputs[j], input));
    });
    const prelude = graph.nodes.slice(before);
    return [...prelude, ...nodes.map((node, i) => ({ ...node, inputs: inputs[i] ?? [] }))];
  }

  #unify(node: GraphNode, one: Value, two: Value | undefined, input: Value): Value {
    const replaced = this.#replaced.get(one.id);
    if (replaced) return replaced;
    if (!one.constant || !two?.constant || equalBytes(one.constant, two.constant)) return one;
    if (one.dtype !== "int64" || !equalShapes(one.shape, two.shape)) {
      throw this.#differs(`a constant of ${node.op} is another`);
    }
    const entries = affineEntries(one.constant, two.constant);
    if (!entries) throw this.#differs(`a size in ${node.op} does not grow evenly with the batch`);
    return this.#sizes(node, entries, input);
  }

  /** A vector of sizes: with −1 where Reshape finds the size itself, else computed when it runs. */
  #sizes(node: GraphNode, entries: readonly Affine[], input: Value): Value {
    const { graph } = this.#one;
    const growing = entries.filter(({ factor }) => factor !== 0);
    if (node.op === "Reshape" && growing.length === 1 && growing[0]?.offset === 0) {
      return graph.ints(entries.map(({ factor, offset }) => (factor === 0 ? offset : -1)));
    }
    const sizes = { dtype: "int64" as const, shape: [entries.length] };
    const shape = graph.node("Shape", [input], { dtype: "int64", shape: [input.shape.length] });
    const batch = graph.node("Gather", [shape, graph.ints([0])], { dtype: "int64", shape: [1] }, { axis: 0 });
    const scaled = graph.node("Mul", [batch, graph.ints(entries.map(({ factor }) => factor))], sizes);
    return graph.node("Add", [scaled, graph.ints(entries.map(({ offset }) => offset))], sizes);
  }

  #differs(how: string): KasminaError {
    return new KasminaError(
      "engine",
      `exporting ${this.#options.name}: it does something else for another batch size (${how})`,
    );
  }
}

function affineEntries(one: Uint8Array, two: Uint8Array): Affine[] | undefined {
  const second = wholeNumbers(two);
  const [b1, b2] = BATCH_SIZES;
  const entries = wholeNumbers(one).map((v1, i) => {
    const factor = ((second[i] ?? v1) - v1) / (b2 - b1);
    return { factor, offset: v1 - factor * b1 };
  });
  return entries.every(({ factor }) => Number.isInteger(factor)) ? entries : undefined;
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
