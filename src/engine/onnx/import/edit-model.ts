/**
 * Writes what has grown back into the file that it came from. Nodes, names, inputs, outputs, operator set, metadata, free
 * dimensions and external data stay; weights that have not changed stay bit for bit. A graft takes the place of a value: what
 * computed the value now computes the graft's input, and the graft computes the value.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { KasminaError } from "../../../base/errors.js";
import {
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProto_DataType,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "../gen/onnx_pb.js";
import { field, fieldsOf, joinFields, type WireField } from "./wire.js";

/** Fields of ModelProto and GraphProto: proto/onnx/onnx.proto. */
const MODEL_GRAPH = 7;
const MODEL_METADATA = 14;
const GRAPH_NODE = 1;
const GRAPH_INITIALIZER = 5;
const GRAPH_OUTPUT = 12;

/** A small model of one input and one output, as `exportOnnx` writes it. */
export interface Graft {
  /** Stands before the names of its nodes and values. */
  readonly prefix: string;
  /** The value whose place it takes. */
  readonly value: string;
  readonly model: Uint8Array;
}

/** What comes in place of all that computes an output. */
export interface NewHead {
  readonly prefix: string;
  /** The value that it begins with. */
  readonly from: string;
  /** The output of the file that it computes now. */
  readonly output: string;
  readonly model: Uint8Array;
}

export interface ModelEdit {
  /** New elements of initializers and of Constant nodes, by name of the tensor. */
  readonly weights?: ReadonlyMap<string, Float32Array>;
  /** Operands that become tensors of their own: a vector that one use has changed and another has not. */
  readonly untied?: readonly UntiedOperand[];
  /** Those of one value one after the other. */
  readonly grafts?: readonly Graft[];
  readonly head?: NewHead;
  /** Added, or put in the place of entries of the same key. */
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface UntiedOperand {
  /** Place of the node in the file, and of the operand. */
  readonly node: number;
  readonly operand: number;
  /** Of the new tensor. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** @throws KasminaError `invalid_argument` for a value that nothing in the file computes */
export function editModel(bytes: Uint8Array, edit: ModelEdit): Uint8Array {
  const fields = fieldsOf(bytes).filter((one) => !isReplaced(one, edit.metadata ?? {}));
  const edited = fields.map((one) =>
    one.number === MODEL_GRAPH && hasGraphEdits(edit)
      ? field(MODEL_GRAPH, editGraph(one.content, edit))
      : one,
  );
  const metadata = Object.entries(edit.metadata ?? {}).map(([key, value]) =>
    field(
      MODEL_METADATA,
      toBinary(StringStringEntryProtoSchema, create(StringStringEntryProtoSchema, { key, value })),
    ),
  );
  return joinFields([...edited, ...metadata]);
}

function isReplaced({ number, content }: WireField, metadata: Readonly<Record<string, string>>): boolean {
  return (
    number === MODEL_METADATA &&
    Object.hasOwn(metadata, fromBinary(StringStringEntryProtoSchema, content).key)
  );
}

function hasGraphEdits({ weights, untied = [], grafts = [], head }: ModelEdit): boolean {
  return (weights?.size ?? 0) + untied.length + grafts.length > 0 || head !== undefined;
}

function editGraph(bytes: Uint8Array, edit: ModelEdit): Uint8Array {
  const graph = new EditedGraph(fieldsOf(bytes));
  for (const [name, data] of edit.weights ?? []) graph.replaceTensor(name, data);
  for (const operand of edit.untied ?? []) graph.untie(operand);
  for (const graft of edit.grafts ?? []) graph.graft(graft);
  if (edit.head) graph.replaceHead(edit.head);
  return graph.join();
}

class EditedGraph {
  #fields: WireField[];
  /** Nodes in the order of the file, by their first place. */
  readonly #places: readonly WireField[];
  readonly #moved = new Map<WireField, WireField>();

  constructor(fields: readonly WireField[]) {
    this.#fields = [...fields];
    this.#places = fields.filter(({ number }) => number === GRAPH_NODE);
  }

  join(): Uint8Array {
    return joinFields(this.#fields);
  }

  /** Initializers first: a Constant node holds its tensor in an attribute. */
  replaceTensor(name: string, data: Float32Array): void {
    const initializer = this.#fields.find(
      ({ number, content }) =>
        number === GRAPH_INITIALIZER && fromBinary(TensorProtoSchema, content).name === name,
    );
    if (initializer) {
      const proto = withData(fromBinary(TensorProtoSchema, initializer.content), data);
      this.#replace(initializer, field(GRAPH_INITIALIZER, toBinary(TensorProtoSchema, proto)));
      return;
    }
    const producer = this.#producerOf(name);
    const node = fromBinary(NodeProtoSchema, producer.content);
    for (const attribute of node.attribute) if (attribute.t) attribute.t = withData(attribute.t, data);
    this.#replace(producer, nodeField(node));
  }

  untie({ node: place, operand, name, shape, data }: UntiedOperand): void {
    const original = this.#places[place];
    const current = original && (this.#moved.get(original) ?? original);
    if (!current) throw new KasminaError("invalid_argument", `the file has no node ${place}`);
    const node = fromBinary(NodeProtoSchema, current.content);
    node.input[operand] = name;
    this.#replace(current, nodeField(node));
    const proto = create(TensorProtoSchema, {
      name,
      dims: shape.map(BigInt),
      dataType: TensorProto_DataType.FLOAT,
      rawData: bytesOf(data),
    });
    this.#insertInitializers([proto]);
  }

  graft({ prefix, value, model }: Graft): void {
    const producer = this.#producerOf(value);
    const node = fromBinary(NodeProtoSchema, producer.content);
    const before = `${prefix}/input`;
    node.output = node.output.map((name) => (name === value ? before : name));
    const part = partOf(model, prefix, before, value);
    this.#replace(producer, nodeField(node), part.nodes.map(nodeField));
    this.#insertInitializers(part.initializers);
  }

  replaceHead({ prefix, from, output, model }: NewHead): void {
    const part = partOf(model, prefix, from, output);
    const producer = this.#producerOf(output);
    this.#remove(producer);
    const last = this.#fields.findLastIndex(({ number }) => number === GRAPH_NODE);
    this.#fields.splice(last + 1, 0, ...part.nodes.map(nodeField));
    this.#insertInitializers(part.initializers);
    for (const one of this.#fields.filter(({ number }) => number === GRAPH_OUTPUT)) {
      if (fromBinary(ValueInfoProtoSchema, one.content).name !== output) continue;
      const info = { ...part.output, name: output };
      this.#replace(
        one,
        field(GRAPH_OUTPUT, toBinary(ValueInfoProtoSchema, create(ValueInfoProtoSchema, info))),
      );
    }
    this.#removeUnread();
  }

  /** Nodes and initializers that no output needs any more. */
  #removeUnread(): void {
    const needed = new Set(
      this.#fields.flatMap(({ number, content }) =>
        number === GRAPH_OUTPUT ? [fromBinary(ValueInfoProtoSchema, content).name] : [],
      ),
    );
    const kept = new Set<WireField>();
    for (const one of [...this.#fields].reverse()) {
      if (one.number !== GRAPH_NODE) continue;
      const { input, output } = fromBinary(NodeProtoSchema, one.content);
      if (!output.some((name) => needed.has(name))) continue;
      kept.add(one);
      for (const name of input) needed.add(name);
    }
    this.#fields = this.#fields.filter((one) => {
      if (one.number === GRAPH_NODE) return kept.has(one);
      return one.number !== GRAPH_INITIALIZER || needed.has(fromBinary(TensorProtoSchema, one.content).name);
    });
  }

  #producerOf(value: string): WireField {
    const producer = this.#fields.find(
      ({ number, content }) =>
        number === GRAPH_NODE && fromBinary(NodeProtoSchema, content).output.includes(value),
    );
    if (producer) return producer;
    throw new KasminaError("invalid_argument", `no node of the file computes ${value}`);
  }

  #replace(old: WireField, by: WireField, after: readonly WireField[] = []): void {
    this.#fields.splice(this.#fields.indexOf(old), 1, by, ...after);
    for (const [original, current] of this.#moved) if (current === old) this.#moved.set(original, by);
    if (!this.#moved.has(old)) this.#moved.set(old, by);
  }

  #remove(old: WireField): void {
    this.#fields.splice(this.#fields.indexOf(old), 1);
  }

  #insertInitializers(tensors: readonly TensorProto[]): void {
    const fields = tensors.map((tensor) => field(GRAPH_INITIALIZER, toBinary(TensorProtoSchema, tensor)));
    const last = this.#fields.findLastIndex(
      ({ number }) => number === GRAPH_INITIALIZER || number === GRAPH_NODE,
    );
    this.#fields.splice(last + 1, 0, ...fields);
  }
}

function nodeField(node: NodeProto): WireField {
  return field(GRAPH_NODE, toBinary(NodeProtoSchema, node));
}

/** The tensor with other elements, in the file itself from now on. */
function withData(tensor: TensorProto, data: Float32Array): TensorProto {
  return {
    ...tensor,
    dataType: TensorProto_DataType.FLOAT,
    rawData: bytesOf(data),
    floatData: [],
    doubleData: [],
    externalData: [],
    dataLocation: TensorProto_DataLocation.DEFAULT,
  };
}

function bytesOf(data: Float32Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
}

interface Part {
  readonly nodes: readonly NodeProto[];
  readonly initializers: readonly TensorProto[];
  readonly output: ValueInfoProto;
}

/** A model's nodes and initializers under a prefix, its input and output under the names that they have in the file. */
function partOf(model: Uint8Array, prefix: string, input: string, output: string): Part {
  const { graph } = fromBinary(ModelProtoSchema, model);
  const [given, result] = [graph?.input[0], graph?.output[0]];
  if (!graph || !given || !result) throw new RangeError("a graft needs an input and an output");
  const renamed = (name: string): string => {
    if (name === "") return "";
    if (name === given.name) return input;
    return name === result.name ? output : `${prefix}/${name}`;
  };
  return {
    nodes: graph.node.map((node) => ({
      ...node,
      name: `${prefix}/${node.name}`,
      input: node.input.map(renamed),
      output: node.output.map(renamed),
    })),
    initializers: graph.initializer.map((tensor) => ({ ...tensor, name: renamed(tensor.name) })),
    output: result,
  };
}
