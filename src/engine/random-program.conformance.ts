/** Random programs for fast-check: a few arrays, and steps that each make a new one from those before. */
import { numpy as np } from "@jax-js/jax";
import fc from "fast-check";
import { float32, type Tensor } from "../contracts/tensor.js";
import type { JaxArray } from "./trace.js";

type Operation = (a: JaxArray, b: JaxArray, choice: number) => JaxArray;

/** Larger arrays would only make the test slow. */
const MAX_SIZE = 120;

/** Read their operands, which stay the caller's. Values stay small, so that no error is drowned by another. */
const OPERATIONS: Readonly<Record<string, Operation>> = {
  add: (a, b) => fitted(a, b, np.add),
  mul: (a, b) => fitted(a, b, np.multiply),
  sub: (a, b) => fitted(a, b, np.subtract),
  max: (a, b) => fitted(a, b, np.maximum),
  less: (a, b) => fitted(a, b, (x, y) => np.where(x.ref.less(y.add(0.01371)), x, 0.25)),
  outer: (a, b) => {
    if (a.size * b.size > MAX_SIZE) return a.ref;
    return np.multiply(a.ref.reshape([-1, 1]), b.ref.reshape([1, -1])).mul(0.5);
  },
  product: (a, b) => {
    const x = a.ref.reshape([-1, a.shape.at(-1) ?? 1]);
    const inner = x.shape[1] ?? 1;
    if (b.size % inner !== 0) return np.matmul(x, np.ones([inner, 2])).mul(0.3);
    return np.matmul(x, b.ref.reshape([-1, inner]).transpose()).mul(0.3);
  },
  gram: (a) =>
    np
      .matmul(a.ref.reshape([-1, a.shape.at(-1) ?? 1]).transpose(), a.ref.reshape([-1, a.shape.at(-1) ?? 1]))
      .mul(0.1),
  transpose: (a, _, choice) => a.ref.transpose(a.shape.map((_size, i) => (i + choice) % a.ndim)),
  reshape: (a, _, choice) => {
    const divisors = Array.from({ length: a.size }, (_size, i) => i + 1).filter((i) => a.size % i === 0);
    const rows = divisors[choice % divisors.length] ?? 1;
    return a.ref.reshape([rows, a.size / rows]);
  },
  mean: (a, _, choice) => (a.ndim < 2 ? a.ref : np.mean(a.ref, choice % a.ndim)),
  centre: (a, _, choice) =>
    a.ndim === 0 ? a.ref : a.ref.sub(np.max(a.ref, choice % a.ndim, { keepdims: true })),
  slice: (a, _, choice) => {
    const axis = choice % Math.max(1, a.ndim);
    const size = a.shape[axis] ?? 1;
    if (size < 2) return a.ref;
    return a.ref.slice(...a.shape.slice(0, axis).map((): [] => []), [choice % (size - 1), size]);
  },
  pad: (a, _, choice) =>
    a.ndim === 0 || a.size * 2 > MAX_SIZE
      ? a.ref
      : np.pad(
          a.ref,
          a.shape.map((_size, i): [number, number] => (i === choice % a.ndim ? [1, 0] : [0, 0])),
        ),
  concatenate: (a, _, choice) =>
    a.ndim === 0 || a.size * 2 > MAX_SIZE
      ? a.ref
      : np.concatenate([a.ref, a.ref.mul(2), np.zeros(a.shape)].slice(0, 2 + (choice % 2)), choice % a.ndim),
  flip: (a, _, choice) => (a.ndim === 0 ? a.ref : np.flip(a.ref, choice % a.ndim)),
  spread: (a, _, choice) =>
    a.size * 3 > MAX_SIZE
      ? a.ref
      : np.broadcastTo(a.ref.reshape([1, ...a.shape]), [2 + (choice % 2), ...a.shape]),
  relu: (a) => np.where(a.ref.less(0), 0, a.ref),
  tanh: (a) => np.tanh(a.ref),
};

/** On operands of shapes that fit each other; else the second is reduced to a number. */
function fitted(a: JaxArray, b: JaxArray, combine: (x: JaxArray, y: JaxArray) => JaxArray): JaxArray {
  const rank = Math.max(a.ndim, b.ndim);
  const size = (x: JaxArray, i: number): number => x.shape[i - rank + x.ndim] ?? 1;
  const sizes = Array.from({ length: rank }, (_, i) => [size(a, i), size(b, i)] as const);
  const fits = sizes.every(([x, y]) => x === y || x === 1 || y === 1);
  const total = sizes.reduce((product, [x, y]) => product * Math.max(x, y), 1);
  return combine(a.ref, fits && total <= MAX_SIZE ? b.ref : np.mean(b.ref));
}

interface Step {
  readonly operation: string;
  /** Which arrays it takes, counted from the last. */
  readonly first: number;
  readonly second: number;
  /** Which axis, or split, of those that there are. */
  readonly choice: number;
}

export interface RandomProgram {
  readonly inputs: readonly Tensor[];
  readonly run: (...arrays: JaxArray[]) => readonly JaxArray[];
  readonly steps: readonly Step[];
}

const steps = fc.array(
  fc.record({
    operation: fc.constantFrom(...Object.keys(OPERATIONS)),
    first: fc.nat(2),
    second: fc.nat(5),
    choice: fc.nat(30),
  }),
  { minLength: 3, maxLength: 12 },
);

const shapes = fc.array(fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 3 }), {
  minLength: 2,
  maxLength: 3,
});

export const randomProgram: fc.Arbitrary<RandomProgram> = fc.tuple(shapes, steps).map(([sizes, list]) => ({
  inputs: sizes.map((shape, i) => filled(shape, i)),
  steps: list,
  run: (...arrays) => perform(arrays, list),
}));

function filled(shape: readonly number[], seed: number): Tensor {
  const size = shape.reduce((product, one) => product * one, 1);
  const data = Float32Array.from({ length: size }, (_, i) => (((i + 1) * (37 + 14 * seed)) % 101) / 50 - 1);
  return float32(shape, data);
}

/**
 * The last array, and a sum to which all of them contribute. Of squares: in a plain mean the gradient is a constant, and
 * jax-js 0.1.25 on WebAssembly pads a constant with itself instead of with zeros.
 */
function perform(inputs: readonly JaxArray[], list: readonly Step[]): readonly JaxArray[] {
  const arrays = [...inputs];
  for (const { operation, first, second, choice } of list) {
    const a = arrays.at(-1 - (first % arrays.length));
    const b = arrays.at(-1 - (second % arrays.length));
    const apply = OPERATIONS[operation];
    if (a && b && apply) arrays.push(apply(a, b, choice));
  }
  const sum = arrays.map((array) => np.mean(np.square(array.ref))).reduce((total, mean) => total.add(mean));
  const last = arrays.at(-1)?.ref;
  for (const array of arrays) array.dispose();
  return last ? [last, sum] : [sum];
}
