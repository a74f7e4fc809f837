/**
 * Reads an ONNX file into a graph that is safe to walk: every name is defined once and before it is used, every tensor
 * has as many elements as its shape says. What lies in the file may come from a stranger.
 *
 * https://github.com/onnx/onnx/blob/main/docs/IR.md
 */

import { fromBinary } from "@bufbuild/protobuf";
import { type KasminaError, messageOf } from "../../../base/errors.js";
import {
  type AttributeProto,
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  type ValueInfoProto,
} from "../gen/onnx_pb.js";
import { RAW_KEY } from "../raw-model.js";
import { type ElementType, elementTypeOf } from "./element-type.js";
import { type StoredTensor, storedTensor } from "./tensor-proto.js";
import { invalidModel } from "./wire.js";

/** The oldest operator set that is read, and the newest. */
export const OLDEST_OPSET = 9;
export const NEWEST_OPSET = 26;

/** More is not a model that anybody trains here. */
const MAX_NODES = 100_000;
const MAX_NAME = 1024;

/** An input or output; a free dimension has a name, or is "?" where it has none. */
export interface TensorInfo {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly (number | string)[];
}

export interface ModelNode {
  /** Its name, or `<operator>_<place>` where it has none. */
  readonly name: string;
  readonly op: string;
  readonly domain: string;
  /** Names of values; "" for an optional one that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, AttributeProto>;
  /** Place in the file, from 0. */
  readonly place: number;
}

export interface Model {
  readonly opset: number;
  readonly producer: string;
  /** Without those that are initializers too. */
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  /** In an order in which each can be computed. */
  readonly nodes: readonly ModelNode[];
  readonly initializers: ReadonlyMap<string, StoredTensor>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** @throws KasminaError `invalid_data` in one line: what is wrong, and where */
export function readModel(bytes: Uint8Array): Model {
  const proto = parse(bytes);
  if (proto.metadataProps.some(({ key }) => key === RAW_KEY))
    throw invalid(
      "it takes raw rows, which ONNX Runtime gives it; take the run, or a file exported without preprocessing",
    );
  const opset = opsetOf(proto);
  const { graph } = proto;
  if (!graph || graph.node.length === 0) throw invalid("it holds no graph");
  if (graph.node.length > MAX_NODES)
    throw invalid(`it has ${graph.node.length} nodes, more than ${MAX_NODES}`);
  if (proto.functions.length > 0) {
    throw invalid("it has functions of its own, which are not supported; export it with plain operators");
  }
  if (graph.sparseInitializer.length > 0) throw invalid("it has sparse tensors, which are not supported");
  const initializers = readInitializers(graph);
  const inputs = graph.input
    .filter(({ name }) => !initializers.has(name))
    .map((info) => tensorInfo(info, "input"));
  const nodes = graph.node.map(readNode);
  checkNames(inputs, initializers, nodes);
  const outputs = graph.output.map((info) => tensorInfo(info, "output"));
  const defined = new Set([
    ...inputs.map(({ name }) => name),
    ...initializers.keys(),
    ...nodes.flatMap((node) => node.outputs),
  ]);
  const missing = outputs.find(({ name }) => !defined.has(name));
  if (missing) throw invalid(`nothing computes its output ${missing.name}`);
  if (outputs.length === 0) throw invalid("it has no output");
  if (inputs.length === 0) throw invalid("it has no input");
  return {
    opset,
    producer: `${proto.producerName} ${proto.producerVersion}`.trim(),
    inputs,
    outputs,
    nodes: inOrder(inputs, initializers, withoutUnread(nodes, outputs)),
    initializers,
    metadata: new Map(proto.metadataProps.map(({ key, value }) => [key, value])),
  };
}

function parse(bytes: Uint8Array): ModelProto {
  try {
    return fromBinary(ModelProtoSchema, bytes);
  } catch (error) {
    throw invalidModel(`the file is no ONNX model (${messageOf(error)})`, {
      cause: error,
    });
  }
}

function invalid(what: string): KasminaError {
  return invalidModel(`the ONNX model cannot be read: ${what}`);
}

function opsetOf({ opsetImport }: ModelProto): number {
  const version = Number(
    opsetImport.find(({ domain }) => domain === "" || domain === "ai.onnx")?.version ?? 0n,
  );
  if (version >= OLDEST_OPSET && version <= NEWEST_OPSET) return version;
  throw invalid(
    `it is written for operator set ${version}; ${OLDEST_OPSET} to ${NEWEST_OPSET} are supported; export it again with opset_version=17`,
  );
}

function readInitializers(graph: GraphProto): Map<string, StoredTensor> {
  const initializers = new Map<string, StoredTensor>();
  for (const proto of graph.initializer) {
    if (proto.name === "" || initializers.has(proto.name)) {
      throw invalid(`two initializers are named ${JSON.stringify(shortened(proto.name))}`);
    }
    initializers.set(proto.name, storedTensor(proto, shortened(proto.name)));
  }
  return initializers;
}

function tensorInfo({ name, type }: ValueInfoProto, role: string): TensorInfo {
  const what = `${role} ${shortened(name)}`;
  if (type?.value.case !== "tensorType") throw invalid(`${what} is no tensor`);
  const { elemType, shape } = type.value.value;
  const dims = (shape?.dim ?? []).map(({ value }) => {
    if (value.case === "dimParam") return value.value === "" ? "?" : value.value;
    const size = value.case === "dimValue" ? Number(value.value) : -1;
    return size > 0 ? size : "?";
  });
  return { name, type: elementTypeOf(elemType, what), shape: dims };
}

function readNode(proto: NodeProto, place: number): ModelNode {
  const { opType, input, output, domain } = proto;
  return {
    name: shortened(proto.name === "" ? `${opType}_${place}` : proto.name),
    op: opType,
    domain: domain === "ai.onnx" ? "" : domain,
    inputs: input,
    outputs: output,
    attributes: new Map(proto.attribute.map((attribute) => [attribute.name, attribute])),
    place,
  };
}

/** The nodes without optional outputs that nothing reads: the mask of a Dropout, the indices of a MaxPool. */
function withoutUnread(nodes: readonly ModelNode[], outputs: readonly TensorInfo[]): readonly ModelNode[] {
  const read = new Set([...nodes.flatMap((node) => node.inputs), ...outputs.map(({ name }) => name)]);
  return nodes.map((node) => ({
    ...node,
    outputs: node.outputs.map((name, i) => (i === 0 || read.has(name) ? name : "")),
  }));
}

/** Every value has one definition. */
function checkNames(
  inputs: readonly TensorInfo[],
  initializers: ReadonlyMap<string, StoredTensor>,
  nodes: readonly ModelNode[],
): void {
  const defined = new Set(initializers.keys());
  const define = (name: string, by: string): void => {
    if (defined.has(name))
      throw invalid(`${by} defines ${JSON.stringify(shortened(name))}, which is defined already`);
    defined.add(name);
  };
  for (const { name } of inputs) define(name, "an input");
  for (const node of nodes) {
    for (const name of node.outputs) if (name !== "") define(name, `node ${node.name} (${node.op})`);
  }
}

/** ONNX wants nodes in topological order; not every writer keeps to it. Those that do keep their own. */
function inOrder(
  inputs: readonly TensorInfo[],
  initializers: ReadonlyMap<string, StoredTensor>,
  nodes: readonly ModelNode[],
): readonly ModelNode[] {
  const known = new Set([...inputs.map(({ name }) => name), ...initializers.keys(), ""]);
  const given = new Set(known);
  const waiting = new Map<string, ModelNode[]>();
  const order: ModelNode[] = [];
  const place = (node: ModelNode): void => {
    const missing = node.inputs.find((name) => !known.has(name));
    if (missing !== undefined) {
      waiting.set(missing, [...(waiting.get(missing) ?? []), node]);
      return;
    }
    order.push(node);
    for (const name of node.outputs) known.add(name);
  };
  for (const first of nodes) {
    const queue = [first];
    for (let node = queue.shift(); node; node = queue.shift()) {
      const before = order.length;
      place(node);
      if (order.length === before) continue;
      for (const name of node.outputs) {
        for (const next of waiting.get(name) ?? []) queue.push(next);
        waiting.delete(name);
      }
    }
  }
  if (order.length === nodes.length) return order;
  throw invalid(unreachable(given, nodes, new Set(order)));
}

/** Why some node can never be computed. */
function unreachable(
  given: ReadonlySet<string>,
  nodes: readonly ModelNode[],
  placed: ReadonlySet<ModelNode>,
): string {
  const produced = new Set(nodes.flatMap((node) => node.outputs));
  const stuck = nodes.filter((node) => !placed.has(node));
  for (const node of stuck) {
    const absent = node.inputs.find((name) => !given.has(name) && !produced.has(name));
    if (absent !== undefined) {
      return `nothing gives ${JSON.stringify(shortened(absent))}, an input of node ${node.name} (${node.op})`;
    }
  }
  return `node ${stuck[0]?.name} (${stuck[0]?.op}) is part of a cycle`;
}

function shortened(name: string): string {
  return name.length <= MAX_NAME ? name : `${name.slice(0, MAX_NAME)}…`;
}
