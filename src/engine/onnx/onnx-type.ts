/** Element types of the ONNX graphs that we write: those of the IR, and int64 for shapes and indices. */
import type { DType, TensorData } from "../../contracts/tensor.js";
import { TensorProto_DataType } from "./gen/onnx_pb.js";

export type OnnxType = DType | "int64";

export const ELEMENT_TYPE: { readonly [T in OnnxType]: TensorProto_DataType } = {
  float32: TensorProto_DataType.FLOAT,
  int32: TensorProto_DataType.INT32,
  uint32: TensorProto_DataType.UINT32,
  bool: TensorProto_DataType.BOOL,
  int64: TensorProto_DataType.INT64,
};

/** Bytes of one element. */
export const ELEMENT_BYTES: { readonly [T in OnnxType]: number } = {
  float32: 4,
  int32: 4,
  uint32: 4,
  bool: 1,
  int64: 8,
};

const SCALAR: { readonly [T in OnnxType]: (value: number) => TensorData | BigInt64Array } = {
  float32: (value) => Float32Array.of(value),
  int32: (value) => Int32Array.of(value),
  uint32: (value) => Uint32Array.of(value),
  bool: (value) => Uint8Array.of(value === 0 ? 0 : 1),
  int64: (value) => BigInt64Array.of(BigInt(value)),
};

/** One element as the little-endian bytes that `TensorProto.raw_data` holds. */
export function scalarBytes(dtype: OnnxType, value: number): Uint8Array {
  return bytesOf(SCALAR[dtype](value));
}

export function bytesOf(data: ArrayBufferView): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** The elements of an int64 constant. */
export function wholeNumbers(bytes: Uint8Array): number[] {
  return Array.from(new BigInt64Array(bytes.slice().buffer), Number);
}
