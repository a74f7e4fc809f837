/** Writes a built graph as an ONNX model: the protobuf of proto/onnx/onnx.proto. */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { utf8 } from "../../base/bytes.js";
import {
  type AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  ModelProtoSchema,
  type NodeProtoSchema,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from "./gen/onnx_pb.js";
import { type Attribute, CONTRIB_OPERATORS, type GraphNode, liveNodes, type Value } from "./graph.js";
import { ELEMENT_TYPE, type OnnxType } from "./onnx-type.js";
import { formIn, type OperatorSet, operatorSetOf } from "./operator-set.js";

/** A size, or the name of one that is free. */
export type Dimension = number | string;

export interface NamedValue {
  readonly name: string;
  readonly value: Value;
  /** Where it differs from the value's own shape: a free batch size. */
  readonly shape?: readonly Dimension[];
}

export interface OnnxModel {
  readonly nodes: readonly GraphNode[];
  readonly inputs: readonly NamedValue[];
  /** Distinct values, none of them an input or a constant. */
  readonly outputs: readonly NamedValue[];
  /** Default: the oldest that has all operators. */
  readonly operatorSet?: OperatorSet;
  /** Constants with a name of their own; all others are numbered. */
  readonly names?: ReadonlyMap<Value, string>;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** The model's bytes: equal graphs give equal bytes. Node names are `<place of the equation>/<place of the node>`. */
export function writeOnnx(model: OnnxModel): Uint8Array {
  const live = liveNodes(
    model.nodes,
    model.outputs.map(({ value }) => value),
  );
  const operatorSet = model.operatorSet ?? operatorSetOf(live);
  const nodes = live.map((node) => formIn(operatorSet, node));
  const names = nameValues(model, nodes);
  const name = (value: Value): string => names.get(value.id) ?? `v${value.id}`;
  const constants = new Map<number, Value>();
  for (const input of nodes.flatMap((node) => node.inputs))
    if (input.constant) constants.set(input.id, input);
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: operatorSet.irVersion,
      producerName: "kasmina",
      opsetImport: [
        { domain: "", version: BigInt(operatorSet.version) },
        ...(nodes.some((node) => CONTRIB_OPERATORS.has(node.op))
          ? [{ domain: "com.microsoft", version: 1n }]
          : []),
      ],
      graph: {
        name: "kasmina",
        node: nodes.map((node, i) => nodeProto(node, i, name)),
        initializer: [...constants.values()].map((value) => tensorProto(value, name(value))),
        input: model.inputs.map(valueInfo),
        output: model.outputs.map(valueInfo),
      },
      metadataProps: Object.entries(model.metadata ?? {}).map(([key, value]) => ({ key, value })),
    }),
  );
}

function nameValues(model: OnnxModel, nodes: readonly GraphNode[]): Map<number, string> {
  const names = new Map<number, string>();
  for (const [value, name] of model.names ?? []) names.set(value.id, name);
  for (const { name, value } of [...model.inputs, ...model.outputs]) names.set(value.id, name);
  let count = 0;
  for (const value of nodes.flatMap((node) => [...node.inputs, ...node.outputs])) {
    if (!names.has(value.id)) names.set(value.id, `${value.constant ? "c" : "v"}${count++}`);
  }
  return names;
}

function nodeProto(
  node: GraphNode,
  place: number,
  name: (value: Value) => string,
): MessageInitShape<typeof NodeProtoSchema> {
  return {
    opType: node.op,
    name: `${node.origin}/${place}`,
    domain: CONTRIB_OPERATORS.has(node.op) ? "com.microsoft" : "",
    input: node.inputs.map(name),
    output: node.outputs.map(name),
    attribute: Object.entries(node.attributes).map(([key, value]) => attributeProto(key, value)),
  };
}

function attributeProto(name: string, value: Attribute): MessageInitShape<typeof AttributeProtoSchema> {
  if (name === "to") {
    return { name, type: AttributeType.INT, i: BigInt(ELEMENT_TYPE[value as OnnxType]) };
  }
  if (typeof value === "number") return { name, type: AttributeType.INT, i: BigInt(value) };
  if (typeof value === "string") return { name, type: AttributeType.STRING, s: utf8(value) };
  if ("float" in value) return { name, type: AttributeType.FLOAT, f: value.float };
  return { name, type: AttributeType.INTS, ints: value.map(BigInt) };
}

function tensorProto(value: Value, name: string): MessageInitShape<typeof TensorProtoSchema> {
  return {
    name,
    dims: value.shape.map(BigInt),
    dataType: ELEMENT_TYPE[value.dtype],
    rawData: value.constant ?? new Uint8Array(0),
  };
}

function valueInfo({ name, value, shape }: NamedValue): MessageInitShape<typeof ValueInfoProtoSchema> {
  const dim = (shape ?? value.shape).map((size) =>
    typeof size === "number"
      ? { value: { case: "dimValue" as const, value: BigInt(size) } }
      : { value: { case: "dimParam" as const, value: size } },
  );
  return {
    name,
    type: {
      value: { case: "tensorType", value: { elemType: ELEMENT_TYPE[value.dtype], shape: { dim } } },
    },
  };
}
