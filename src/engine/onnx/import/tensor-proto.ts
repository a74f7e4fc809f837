/**
 * Reads the elements of a TensorProto, wherever they lie: in `raw_data`, in the typed fields, or in a file beside the
 * model. Nothing is allocated before the sizes have been checked against the bytes that are there.
 *
 * https://github.com/onnx/onnx/blob/main/docs/ExternalData.md
 */

import { sizeOf } from "../../../contracts/tensor.js";
import { TensorProto_DataLocation as DataLocation, type TensorProto } from "../gen/onnx_pb.js";
import { type ElementType, elementTypeOf } from "./element-type.js";
import { invalidModel } from "./wire.js";

/**
 * Gives `length` bytes from `offset` on (all from there on, where `length` is left out) of a file beside the model.
 * `location` is a relative path as the model has it, checked to stay in its folder.
 */
export type ReadExternal = (location: string, offset: number, length: number | undefined) => Uint8Array;

/** Where a tensor's bytes lie, where they lie outside of the model. */
export interface ExternalData {
  readonly location: string;
  readonly offset: number;
  readonly length: number | undefined;
}

/** A tensor of the model, its elements not read yet. */
export interface StoredTensor {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly proto: TensorProto;
}

/** Elements of one tensor: more are refused. 2^31 is what a protobuf file can hold. */
const MAX_ELEMENTS = 2 ** 29;
const MAX_RANK = 8;

const BYTES: { readonly [T in ElementType]: number } = {
  float32: 4,
  float64: 8,
  int64: 8,
  int32: 4,
  bool: 1,
};

/** Checks shape, type and the number of elements against what is stored. @throws KasminaError `invalid_data` naming the tensor */
export function storedTensor(proto: TensorProto, name: string): StoredTensor {
  const what = `tensor ${name}`;
  const type = elementTypeOf(proto.dataType, what);
  const shape = proto.dims.map(Number);
  const size = sizeOf(shape);
  if (shape.length > MAX_RANK || shape.some((one) => one < 0) || !(size <= MAX_ELEMENTS)) {
    throw invalidModel(`${what} has the shape [${shape}], which is not possible here`);
  }
  if (proto.segment) throw invalidModel(`${what} is stored in segments, which is not supported`);
  const tensor = { name, type, shape, proto };
  if (proto.dataLocation === DataLocation.EXTERNAL) externalData(tensor);
  else checkStored(tensor, size);
  return tensor;
}

function checkStored({ name, type, proto }: StoredTensor, size: number): void {
  const { rawData } = proto;
  const stored = rawData.length > 0 ? rawData.length / BYTES[type] : typedField(proto, type).length;
  if (stored !== size) {
    throw invalidModel(
      `tensor ${name} of shape [${proto.dims}] needs ${size} elements of ${type}, the model holds ${stored}`,
    );
  }
}

/** @throws KasminaError `invalid_data` for a path that leaves the model's folder */
export function externalData({ name, proto }: StoredTensor): ExternalData | undefined {
  if (proto.dataLocation !== DataLocation.EXTERNAL) return undefined;
  const entry = (key: string) => proto.externalData.find((one) => one.key === key)?.value;
  const location = entry("location") ?? "";
  const parts = location.split(/[\\/]/);
  const isInside = location !== "" && !/^([\\/]|[A-Za-z]:)/.test(location) && !parts.includes("..");
  if (!isInside || location.includes("\0")) {
    throw invalidModel(`tensor ${name} lies in ${JSON.stringify(location)}, outside of the model's folder`);
  }
  const number = (key: string): number | undefined => {
    const text = entry(key);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (/^\d{1,15}$/.test(text)) return value;
    throw invalidModel(`tensor ${name} has the external ${key} ${JSON.stringify(text)}`);
  };
  return { location, offset: number("offset") ?? 0, length: number("length") };
}

/** The elements, row-major, in memory of their own. float64 and int64 as float64. @throws KasminaError `invalid_data` */
export function readFloat32(tensor: StoredTensor, readExternal: ReadExternal): Float32Array {
  const bytes = bytesOf(tensor, readExternal);
  if (!bytes) return Float32Array.from(tensor.proto.floatData);
  // The bytes are a view of the file, and may start anywhere.
  return new Float32Array(bytes.slice().buffer);
}

/** The elements of any type as numbers. @throws KasminaError `invalid_data` for whole numbers beyond 2^53 */
export function readNumbers(tensor: StoredTensor, readExternal: ReadExternal): Float64Array {
  const bytes = bytesOf(tensor, readExternal);
  const { type, proto } = tensor;
  if (!bytes) return Float64Array.from(typedField(proto, type), Number);
  const { buffer } = bytes.slice();
  switch (type) {
    case "float32":
      return Float64Array.from(new Float32Array(buffer));
    case "float64":
      return new Float64Array(buffer);
    case "int32":
      return Float64Array.from(new Int32Array(buffer));
    case "int64":
      return Float64Array.from(new BigInt64Array(buffer), Number);
    case "bool":
      return Float64Array.from(bytes, (value) => (value === 0 ? 0 : 1));
    default:
      return type satisfies never;
  }
}

/** The stored bytes; undefined where the elements lie in a typed field. */
function bytesOf(tensor: StoredTensor, readExternal: ReadExternal): Uint8Array | undefined {
  const external = externalData(tensor);
  if (!external) return tensor.proto.rawData.length > 0 ? tensor.proto.rawData : undefined;
  const size = sizeOf(tensor.shape) * BYTES[tensor.type];
  if (external.length !== undefined && external.length !== size) {
    throw invalidModel(
      `tensor ${tensor.name} needs ${size} bytes, ${external.location} is said to hold ${external.length}`,
    );
  }
  const bytes = readExternal(external.location, external.offset, size);
  if (bytes.length === size) return bytes;
  throw invalidModel(`tensor ${tensor.name} needs ${size} bytes, ${external.location} holds ${bytes.length}`);
}

function typedField(proto: TensorProto, type: ElementType): readonly (number | bigint)[] {
  switch (type) {
    case "float32":
      return proto.floatData;
    case "float64":
      return proto.doubleData;
    case "int64":
      return proto.int64Data;
    default:
      return proto.int32Data;
  }
}
