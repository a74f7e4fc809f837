/**
 * Values that are known before anything runs: shapes, ranges, masks, and what is computed from them. They are folded
 * here, in plain JavaScript, so that a traced program holds the work of a batch alone.
 */
import { sizeOf } from "../../../contracts/tensor.js";
import { broadcastShapes } from "../views/align.js";
import type { ElementType } from "./element-type.js";

export interface StaticTensor {
  readonly kind: "static";
  readonly type: ElementType;
  readonly shape: readonly number[];
  /** Row-major; bool as 0 and 1; whole numbers beyond 2^53 are rounded, which only the ends of slices are. */
  readonly data: Float64Array;
}

/** Elements of one folded tensor: more is refused, so that a file of a few bytes cannot ask for all memory. */
const MAX_STATIC_ELEMENTS = 2 ** 24;

const ROUND: { readonly [T in ElementType]: (value: number) => number } = {
  float32: Math.fround,
  float64: (value) => value,
  int64: Math.trunc,
  int32: (value) => Math.trunc(value) | 0,
  bool: (value) => (value === 0 ? 0 : 1),
};

export function staticTensor(
  type: ElementType,
  shape: readonly number[],
  values: ArrayLike<number> | ((i: number) => number),
): StaticTensor {
  const size = checkedSize(shape);
  const at = typeof values === "function" ? values : (i: number) => values[i] ?? 0;
  const round = ROUND[type];
  const data = new Float64Array(size);
  for (let i = 0; i < size; i++) data[i] = round(at(i));
  return { kind: "static", type, shape, data };
}

/** An int64 vector. */
export function wholeNumbers(values: readonly number[]): StaticTensor {
  return staticTensor("int64", [values.length], values);
}

/** @throws RangeError for more elements than are ever folded */
export function checkedSize(shape: readonly number[]): number {
  const size = sizeOf(shape);
  if (shape.some((one) => !Number.isInteger(one) || one < 0))
    throw new RangeError(`the shape [${shape}] is not possible`);
  if (size > MAX_STATIC_ELEMENTS) throw new RangeError(`a constant of shape [${shape}] is too large`);
  return size;
}

/** The tensor of `shape` whose element at each index is the source's at `place(index)`. */
export function picked(
  source: StaticTensor,
  shape: readonly number[],
  place: (index: readonly number[]) => number,
): StaticTensor {
  checkedSize(shape);
  const index = shape.map(() => 0);
  return staticTensor(source.type, shape, () => {
    const value = source.data[place(index)] ?? 0;
    advance(index, shape);
    return value;
  });
}

/** The next index, row-major; changes it in place. */
function advance(index: number[], shape: readonly number[]): void {
  for (let d = shape.length - 1; d >= 0; d--) {
    index[d] = (index[d] ?? 0) + 1;
    if ((index[d] ?? 0) < (shape[d] ?? 0)) return;
    index[d] = 0;
  }
}

/** Elements from one index to the next along each dimension. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1);
  for (let d = shape.length - 2; d >= 0; d--) strides[d] = (strides[d + 1] ?? 1) * (shape[d + 1] ?? 1);
  return strides;
}

/** The place of a broadcast index in a tensor of `shape`, whose dimensions are the last ones. */
export function broadcastPlace(shape: readonly number[]): (index: readonly number[]) => number {
  const strides = stridesOf(shape).map((stride, d) => (shape[d] === 1 ? 0 : stride));
  return (index) => {
    const lead = index.length - shape.length;
    return strides.reduce((place, stride, d) => place + stride * (index[d + lead] ?? 0), 0);
  };
}

/** An elementwise operation with NumPy's broadcasting. */
export function mapped(
  type: ElementType,
  operands: readonly StaticTensor[],
  compute: (...values: number[]) => number,
): StaticTensor {
  const shape = broadcastShapes(...operands.map((operand) => operand.shape));
  const wide = operands.map((operand) =>
    operand.shape.length === shape.length && sizeOf(operand.shape) === sizeOf(shape)
      ? operand
      : picked(operand, shape, broadcastPlace(operand.shape)),
  );
  return staticTensor(type, shape, (i) => compute(...wide.map(({ data }) => data[i] ?? 0)));
}
