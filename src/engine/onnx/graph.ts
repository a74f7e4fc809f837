/**
 * Builds one ONNX graph: values, nodes, constants. A node equal to an earlier one is not added twice, and what no
 * output needs is not written, so programs of equal structure give equal graphs.
 *
 * Operators: https://onnx.ai/onnx/operators/.
 */
import { sha256Hex, toHex } from "../../base/bytes.js";
import { sizeOf } from "../../contracts/tensor.js";
import { bytesOf, type OnnxType, scalarBytes } from "./onnx-type.js";

/** A number is an int; a float is written as `{ float: x }`. */
export type Attribute = number | string | readonly number[] | { readonly float: number };
export type Attributes = Readonly<Record<string, Attribute>>;

export interface ValueSpec {
  readonly dtype: OnnxType;
  readonly shape: readonly number[];
}

export interface Value extends ValueSpec {
  readonly id: number;
  /** Set for constants: the elements, row-major, little-endian. */
  readonly constant?: Uint8Array;
}

export interface GraphNode {
  readonly op: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attributes: Attributes;
  /** The equation that the node was made for, by its place in the IR; -1 for none. */
  readonly origin: number;
}

/** Operators of ONNX Runtime's own, outside the standard. */
export const CONTRIB_OPERATORS: ReadonlySet<string> = new Set(["FusedMatMul"]);

/** The same bits whichever operand comes first. */
const COMMUTATIVE: ReadonlySet<string> = new Set(["Add", "Mul"]);

export class GraphBuilder {
  /** Recorded in each node made from now on. */
  origin = -1;
  readonly inputs: Value[] = [];
  readonly nodes: GraphNode[] = [];
  #count = 0;
  readonly #known = new Map<string, readonly Value[]>();
  readonly #producers = new Map<Value, GraphNode>();

  input(dtype: OnnxType, shape: readonly number[]): Value {
    const value = this.#value({ dtype, shape });
    this.inputs.push(value);
    return value;
  }

  constant(dtype: OnnxType, shape: readonly number[], bytes: Uint8Array): Value {
    const content = bytes.length <= 64 ? toHex(bytes) : sha256Hex(bytes);
    return this.#once(`constant ${dtype} ${shape} ${content}`, () => [
      { ...this.#value({ dtype, shape }), constant: bytes },
    ]);
  }

  scalar(dtype: OnnxType, value: number): Value {
    return this.constant(dtype, [], scalarBytes(dtype, value));
  }

  /** An int64 vector: shapes, axes, starts. */
  ints(values: readonly number[]): Value {
    return this.constant("int64", [values.length], bytesOf(BigInt64Array.from(values, BigInt)));
  }

  /** A node with one output. */
  node(op: string, inputs: readonly Value[], output: ValueSpec, attributes: Attributes = {}): Value {
    const [value] = this.nodeWithOutputs(op, inputs, [output], attributes);
    if (!value) throw new RangeError(`${op} has no output`);
    return value;
  }

  nodeWithOutputs(
    op: string,
    inputs: readonly Value[],
    outputs: readonly ValueSpec[],
    attributes: Attributes = {},
  ): readonly Value[] {
    const ids = inputs.map((input) => input.id);
    if (COMMUTATIVE.has(op)) ids.sort((a, b) => a - b);
    const key = `${op} ${ids} ${JSON.stringify(attributes)} ${outputs.length}`;
    const known = this.#known.get(key) ?? this.#add(op, inputs, outputs, attributes);
    this.#known.set(key, known);
    return known;
  }

  /** A value of its own with the same elements. */
  copy(value: Value): Value {
    const [copy] = this.#add("Identity", [value], [value], {});
    if (!copy) throw new RangeError("Identity has no output");
    return copy;
  }

  producer(value: Value): GraphNode | undefined {
    return this.#producers.get(value);
  }

  /** The same elements, row-major, in another shape; free when it runs. */
  reshape(value: Value, shape: readonly number[]): Value {
    if (equalShapes(value.shape, shape)) return value;
    if (sizeOf(value.shape) !== sizeOf(shape)) {
      throw new RangeError(`cannot reshape [${value.shape}] to [${shape}]`);
    }
    if (value.constant) return this.constant(value.dtype, shape, value.constant);
    const producer = this.#producers.get(value);
    const source = producer?.op === "Reshape" ? producer.inputs[0] : undefined;
    if (source) return this.reshape(source, shape);
    return this.node("Reshape", [value, this.ints(shape)], { dtype: value.dtype, shape });
  }

  cast(value: Value, dtype: OnnxType): Value {
    if (value.dtype === dtype) return value;
    return this.node("Cast", [value], { dtype, shape: value.shape }, { to: dtype });
  }

  #add(
    op: string,
    inputs: readonly Value[],
    outputs: readonly ValueSpec[],
    attributes: Attributes,
  ): readonly Value[] {
    const values = outputs.map((output) => this.#value(output));
    const node = { op, inputs, outputs: values, attributes, origin: this.origin };
    this.nodes.push(node);
    for (const value of values) this.#producers.set(value, node);
    return values;
  }

  #once(key: string, make: () => readonly Value[]): Value {
    const values = this.#known.get(key) ?? make();
    this.#known.set(key, values);
    const [value] = values;
    if (!value) throw new RangeError(`no value for ${key}`);
    return value;
  }

  #value(spec: ValueSpec): Value {
    return { id: this.#count++, dtype: spec.dtype, shape: spec.shape };
  }
}

export function equalShapes(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}

/** The nodes that `outputs` need, in order. */
export function liveNodes(nodes: readonly GraphNode[], outputs: readonly Value[]): GraphNode[] {
  const needed = new Set(outputs.map((value) => value.id));
  const live: GraphNode[] = [];
  for (const node of [...nodes].reverse()) {
    if (!node.outputs.some((value) => needed.has(value.id))) continue;
    live.push(node);
    for (const input of node.inputs) needed.add(input.id);
  }
  return live.reverse();
}
