/** Builds small ONNX models in memory, of nodes as they stand in the file. */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { sizeOf } from "../../../contracts/tensor.js";
import {
  type AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataType as DataType,
  type ModelProto,
  ModelProtoSchema,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from "../gen/onnx_pb.js";

export interface SmallTensor {
  readonly type: "float32" | "int64" | "bool";
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

export type SmallAttribute =
  | number
  | { readonly float: number }
  | string
  | readonly number[]
  | readonly string[]
  | SmallTensor;

export interface SmallNode {
  readonly op: string;
  readonly domain?: string;
  readonly name?: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, SmallAttribute>>;
}

export interface SmallModel {
  readonly opset?: number;
  readonly nodes: readonly SmallNode[];
  readonly inputs: Readonly<
    Record<string, { readonly type: SmallTensor["type"]; readonly shape: readonly (number | string)[] }>
  >;
  readonly initializers?: Readonly<Record<string, SmallTensor>>;
  readonly outputs: Readonly<Record<string, SmallTensor["type"]>>;
}

const TYPES = { float32: DataType.FLOAT, int64: DataType.INT64, bool: DataType.BOOL } as const;

export function floats(shape: readonly number[], data?: readonly number[]): SmallTensor {
  return {
    type: "float32",
    shape,
    data: data ?? Array.from({ length: sizeOf(shape) }, (_, i) => ((i * 37) % 101) / 50 - 1),
  };
}

export function ints(...data: readonly number[]): SmallTensor {
  return { type: "int64", shape: [data.length], data };
}

export function tensorProto(
  name: string,
  { type, shape, data }: SmallTensor,
): MessageInitShape<typeof TensorProtoSchema> {
  const raw =
    type === "float32"
      ? Float32Array.from(data)
      : type === "int64"
        ? BigInt64Array.from(data, BigInt)
        : Uint8Array.from(data);
  return { name, dims: shape.map(BigInt), dataType: TYPES[type], rawData: new Uint8Array(raw.buffer) };
}

function attributeProto(name: string, value: SmallAttribute): MessageInitShape<typeof AttributeProtoSchema> {
  const utf8 = (text: string) => new TextEncoder().encode(text);
  if (typeof value === "number") return { name, type: AttributeType.INT, i: BigInt(value) };
  if (typeof value === "string") return { name, type: AttributeType.STRING, s: utf8(value) };
  if ("float" in value) return { name, type: AttributeType.FLOAT, f: value.float };
  if ("data" in value) return { name, type: AttributeType.TENSOR, t: tensorProto("", value) as never };
  if (typeof value[0] === "string")
    return { name, type: AttributeType.STRINGS, strings: (value as readonly string[]).map(utf8) };
  return { name, type: AttributeType.INTS, ints: (value as readonly number[]).map(BigInt) };
}

function valueInfo(
  name: string,
  type: SmallTensor["type"],
  shape?: readonly (number | string)[],
): MessageInitShape<typeof ValueInfoProtoSchema> {
  const dim = shape?.map((size) => ({
    value:
      typeof size === "number"
        ? { case: "dimValue" as const, value: BigInt(size) }
        : { case: "dimParam" as const, value: size },
  }));
  return {
    name,
    type: {
      value: { case: "tensorType", value: { elemType: TYPES[type], ...(dim ? { shape: { dim } } : {}) } },
    },
  };
}

export function smallModelProto({
  opset = 17,
  nodes,
  inputs,
  initializers = {},
  outputs,
}: SmallModel): ModelProto {
  return create(ModelProtoSchema, {
    irVersion: opset > 21 ? 10n : 7n,
    opsetImport: [{ domain: "", version: BigInt(opset) }],
    graph: {
      name: "small",
      node: nodes.map(
        ({ op, domain = "", name = "", inputs: operands, outputs: results, attributes = {} }) => ({
          opType: op,
          domain,
          name,
          input: [...operands],
          output: [...results],
          attribute: Object.entries(attributes).map(([key, value]) => attributeProto(key, value)),
        }),
      ),
      initializer: Object.entries(initializers).map(([name, tensor]) => tensorProto(name, tensor)),
      input: Object.entries(inputs).map(([name, { type, shape }]) => valueInfo(name, type, shape)),
      output: Object.entries(outputs).map(([name, type]) => valueInfo(name, type)),
    },
  });
}

export function smallModel(model: SmallModel): Uint8Array {
  return toBinary(ModelProtoSchema, smallModelProto(model));
}
