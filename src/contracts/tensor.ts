/** Plain tensors: what crosses the borders between rooms. Row-major, little-endian, owned by whoever holds them. */
import { KasminaError } from "../base/errors.js";

export type DType = "float32" | "int32" | "uint32" | "bool";

export interface TensorSpec {
  /** Sizes, outermost first; [] is a scalar. */
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** float32 → Float32Array, int32 → Int32Array, uint32 → Uint32Array, bool → Uint8Array of 0 and 1. */
export type TensorData = Float32Array | Int32Array | Uint32Array | Uint8Array;

export interface Tensor extends TensorSpec {
  readonly data: TensorData;
}

/** Tensors by path, such as `host/block1/w`. */
export type Tensors = Readonly<Record<string, Tensor>>;
export type TensorSpecs = Readonly<Record<string, TensorSpec>>;

const ARRAY_OF = { float32: Float32Array, int32: Int32Array, uint32: Uint32Array, bool: Uint8Array } as const;

/** The number of elements of a shape; 1 for a scalar. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** A float32 tensor over `data`, or filled with one value. */
export function float32(
  shape: readonly number[],
  data: Float32Array | readonly number[] | number = 0,
): Tensor {
  const array =
    typeof data === "number"
      ? new Float32Array(sizeOf(shape)).fill(data)
      : data instanceof Float32Array
        ? data
        : Float32Array.from(data);
  return checkedTensor({ shape, dtype: "float32", data: array });
}

/** An int32 tensor over `data`. */
export function int32(shape: readonly number[], data: Int32Array | readonly number[]): Tensor {
  return checkedTensor({
    shape,
    dtype: "int32",
    data: data instanceof Int32Array ? data : Int32Array.from(data),
  });
}

/** A float32 scalar. */
export function scalar(value: number): Tensor {
  return { shape: [], dtype: "float32", data: Float32Array.of(value) };
}

/** Throws unless the data is of the kind and length that shape and dtype say. */
export function checkedTensor(tensor: Tensor): Tensor {
  const expected = sizeOf(tensor.shape);
  if (!(tensor.data instanceof ARRAY_OF[tensor.dtype]) || tensor.data.length !== expected) {
    throw new KasminaError(
      "invalid_argument",
      `tensor of shape [${tensor.shape}] and dtype ${tensor.dtype} needs ${expected} elements in a ${ARRAY_OF[tensor.dtype].name}, got ${tensor.data.length} in a ${tensor.data.constructor.name}`,
    );
  }
  return tensor;
}

/** Whether no value is NaN or infinite. */
export function isFiniteTensor({ data }: Tensor): boolean {
  return data.every((value) => Number.isFinite(value));
}

/** Paths of the tensors that hold a value which is not finite. */
export function nonFinitePaths(tensors: Tensors): readonly string[] {
  return Object.keys(tensors).filter((path) => {
    const tensor = tensors[path];
    return tensor !== undefined && !isFiniteTensor(tensor);
  });
}

export function sameSpec(a: TensorSpec, b: TensorSpec): boolean {
  return (
    a.dtype === b.dtype &&
    a.shape.length === b.shape.length &&
    a.shape.every((size, i) => size === b.shape[i])
  );
}

/** Whether both hold the same paths, each with the same elements, to the last bit. */
export function sameTensors(a: Tensors, b: Tensors): boolean {
  const paths = Object.keys(a);
  if (paths.length !== Object.keys(b).length) return false;
  return paths.every((path) => {
    const [one, other] = [a[path]?.data, b[path]?.data];
    return (
      one !== undefined && other?.length === one.length && one.every((value, i) => Object.is(value, other[i]))
    );
  });
}

/** `float32[64,784]`, as errors and the printed IR show it. */
export function formatSpec(spec: TensorSpec): string {
  return `${spec.dtype}[${spec.shape.join(",")}]`;
}

export function specOf(tensor: TensorSpec): TensorSpec {
  return { shape: tensor.shape, dtype: tensor.dtype };
}
