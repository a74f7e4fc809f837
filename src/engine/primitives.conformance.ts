/** Programs for every primitive, with operands at the edges: NaN, infinities, ties, signed zeros, whole-number wraps. */
import { grad, lax, numpy as np, random } from "@jax-js/jax";
import { float32, int32, type Tensor } from "../contracts/tensor.js";
import type { Primitive } from "./ir.js";
import type { JaxArray } from "./trace.js";

export interface PrimitiveCase {
  readonly inputs: readonly Tensor[];
  /** Owns its arguments. */
  readonly run: (...arrays: JaxArray[]) => JaxArray | readonly JaxArray[];
  /** Largest relative difference between engines; default 1e-5. */
  readonly tolerance?: number;
}

const { NaN: NAN, POSITIVE_INFINITY: INF } = Number;
const SPECIAL = [0, -0, 1, -1, 0.5, -2.25, NAN, INF, -INF, 1e-3, 3e8, -7.75];

/** Values that repeat after a prime number of elements, so that no two rows are equal. */
function wave(...shape: readonly number[]): Tensor {
  const size = shape.reduce((product, one) => product * one, 1);
  return float32(
    shape,
    Float32Array.from({ length: size }, (_, i) => ((i * 37) % 101) / 50 - 1),
  );
}

function positive(...shape: readonly number[]): Tensor {
  const { data } = wave(...shape);
  return float32(
    shape,
    Float32Array.from(data, (value) => value + 1.25),
  );
}

function uint32(shape: readonly number[], data: readonly number[]): Tensor {
  return { shape, dtype: "uint32", data: Uint32Array.from(data) };
}

function bool(shape: readonly number[], data: readonly number[]): Tensor {
  return { shape, dtype: "bool", data: Uint8Array.from(data) };
}

const special = float32([12], SPECIAL);
const reversed = float32([12], [...SPECIAL].reverse());
const ints = int32([6], [5, -5, 7, -7, 2147483647, 0]);
const divisors = int32([6], [2, 2, -3, -3, 2, 9]);
const words = uint32([4], [1, 0xffffffff, 0x80000000, 12345]);
const otherWords = uint32([4], [2, 0x7fffffff, 0xf0000000, 12344]);
const flags = bool([4], [1, 0, 1, 1]);
const otherFlags = bool([4], [1, 1, 0, 1]);

function binary(run: PrimitiveCase["run"]): PrimitiveCase[] {
  return [
    { inputs: [special, reversed], run },
    { inputs: [wave(3, 1, 5), wave(4, 1)], run },
    { inputs: [ints, divisors], run },
  ];
}

function unary(run: (x: JaxArray) => JaxArray, tolerance?: number): PrimitiveCase[] {
  const options = tolerance === undefined ? {} : { tolerance };
  return [
    { inputs: [special], run: (x) => run(x), ...options },
    { inputs: [wave(3, 5)], run: (x) => run(x.transpose()), ...options },
  ];
}

function one(inputs: readonly Tensor[], run: PrimitiveCase["run"]): PrimitiveCase[] {
  return [{ inputs, run }];
}

function word(value: number): JaxArray {
  return np.array(value, { dtype: np.uint32 });
}

function windowSums(x: JaxArray, size: number[], strides: number[]): JaxArray {
  return lax.reduceWindow(x, (window) => np.sum(window), size, strides);
}

const triangle = float32([3, 3], [2, 1, -1, 0, 3, 1, 0, 0, 4]);
const definite = float32([3, 3], [4, 1, 0, 1, 5, 2, 0, 2, 6]);
const matrices = [wave(2, 3, 5, 4), wave(2, 3, 6, 4)] as const;

interface GroupedConvolution {
  readonly x: readonly number[];
  readonly filter: readonly number[];
  readonly groups: number;
  readonly strides: number[];
  readonly padding: [number, number][];
  readonly dilation?: number[];
}

/** Depthwise, with more outputs than inputs, strided, dilated, uneven; a filter that leaves the last pixels out; in 1 and 3 dimensions. */
const GROUPED_CONVOLUTIONS: readonly GroupedConvolution[] = [
  { x: [2, 4, 6, 5], filter: [4, 1, 3, 3], groups: 4, strides: [1, 1], padding: pairs(1, 1, 1, 1) },
  { x: [2, 4, 7, 6], filter: [4, 1, 3, 3], groups: 4, strides: [2, 2], padding: pairs(1, 1, 1, 1) },
  { x: [2, 6, 8, 8], filter: [4, 3, 3, 2], groups: 2, strides: [2, 3], padding: pairs(0, 1, 2, 0) },
  { x: [1, 3, 9, 9], filter: [6, 1, 2, 2], groups: 3, strides: [3, 3], padding: pairs(0, 0, 0, 0) },
  {
    x: [2, 4, 9, 9],
    filter: [4, 2, 3, 3],
    groups: 2,
    strides: [1, 2],
    padding: pairs(2, 2, 2, 2),
    dilation: [2, 2],
  },
  { x: [2, 3, 5, 5], filter: [3, 1, 1, 1], groups: 3, strides: [2, 2], padding: pairs(0, 0, 0, 0) },
  { x: [2, 4, 11], filter: [8, 1, 4], groups: 4, strides: [2], padding: pairs(1, 2) },
  {
    x: [2, 2, 4, 4, 3],
    filter: [2, 1, 2, 2, 2],
    groups: 2,
    strides: [1, 2, 1],
    padding: pairs(1, 0, 0, 1, 0, 0),
  },
];

function pairs(...widths: readonly number[]): [number, number][] {
  return widths.flatMap((before, i): [number, number][] =>
    i % 2 === 0 ? [[before, widths[i + 1] ?? 0]] : [],
  );
}

/** The convolution, and a loss's gradients by its input and its filter. */
function groupedConvolution(one: GroupedConvolution): PrimitiveCase[] {
  const convolve = (x: JaxArray, w: JaxArray): JaxArray =>
    lax.convGeneralDilated(x, w, one.strides, one.padding, {
      featureGroupCount: one.groups,
      ...(one.dilation ? { rhsDilation: one.dilation } : {}),
    });
  const loss = (x: JaxArray, w: JaxArray): JaxArray => {
    const y = convolve(x, w);
    return np.sum(np.sin(y.ref).mul(y));
  };
  const gradients = grad(loss, { argnums: [0, 1] }) as unknown as (...xs: JaxArray[]) => JaxArray[];
  return [
    {
      inputs: [wave(...one.x), wave(...one.filter)],
      run: (x, w) => [convolve(x.ref, w.ref), ...gradients(x, w)],
      tolerance: 1e-4,
    },
  ];
}

export const PRIMITIVE_CASES: { readonly [P in Primitive]: readonly PrimitiveCase[] } = {
  add: [...binary((a, b) => np.add(a, b)), ...one([words, words], (a, b) => np.add(a, b))],
  mul: [...binary((a, b) => np.multiply(a, b)), ...one([words, words], (a, b) => np.multiply(a, b))],
  idiv: [
    ...one([int32([4], [7, -7, 7, -7]), int32([4], [2, 2, -2, -2])], (a, b) => a.div(b)),
    ...one([wave(9)], (x) => np.trunc(x)),
  ],
  mod: [
    ...one([ints, divisors], (a, b) => np.remainder(a, b)),
    ...one([wave(7), positive(7)], (a, b) => np.remainder(a, b)),
  ],
  min: [...binary((a, b) => np.minimum(a, b)), ...one([words, otherWords], (a, b) => np.minimum(a, b))],
  max: [
    ...binary((a, b) => np.maximum(a, b)),
    ...one([words, otherWords], (a, b) => np.maximum(a, b)),
    ...one([special], (x) => np.maximum(x, 0)),
  ],
  bit_combine: [
    ...one([words], (x) => np.bitwiseXor(np.bitwiseAnd(x.ref, 0xff), np.bitwiseOr(x, 0x10))),
    ...one([flags, otherFlags], (a, b) => np.bitwiseXor(a, b)),
  ],
  bit_shift: one([words], (x) => [np.leftShift(x.ref, word(3)), np.rightShift(x, word(5))]),
  bit_count: one([words], (x) => np.bitwiseCount(x)),
  neg: [...unary(np.negative), ...one([ints], (x) => np.negative(x))],
  reciprocal: unary(np.reciprocal),
  floor: unary(np.floor),
  ceil: unary(np.ceil),
  stop_gradient: unary((x) => lax.stopGradient(x)),
  cast: [
    ...one([special], (x) => [x.ref.astype(np.int32), x.ref.astype(np.uint32), x.astype(np.bool)]),
    ...one([float32([3], [1e12, -1e12, 2147483648])], (x) => [x.ref.astype(np.int32), x.astype(np.uint32)]),
    ...one([words], (x) => [x.ref.astype(np.float32), x.astype(np.int32)]),
    ...one([flags], (x) => x.astype(np.float32)),
  ],
  bitcast: [
    ...one([special], (x) => lax.bitcastConvertType(x, np.uint32)),
    ...one([words], (x) => lax.bitcastConvertType(x, np.float32)),
  ],
  sin: one([wave(3, 5)], (x) => np.sin(x.mul(6))),
  cos: one([wave(3, 5)], (x) => np.cos(x.mul(6))),
  asin: unary(np.asin, 1e-4),
  atan: unary(np.atan, 1e-4),
  exp: unary(np.exp),
  log: unary(np.log),
  erf: unary((x) => lax.erf(x) as JaxArray, 1e-4),
  erfc: unary((x) => lax.erfc(x) as JaxArray, 1e-4),
  sqrt: unary(np.sqrt),
  reduce: [
    ...one([wave(3, 4, 5)], (x) => [np.sum(x.ref, 1), np.prod(x.ref, [0, 2]), np.max(x.ref, 0), np.min(x)]),
    ...one([float32([2, 3], [1, NAN, 3, -INF, 2, -5])], (x) => [
      np.max(x.ref, 1),
      np.min(x.ref, 1),
      np.sum(x, 1),
    ]),
    ...one([wave(3)], (x) => {
      const wide = np.broadcastTo(x.reshape([3, 1]), [3, 4]);
      return [np.sum(wide.ref, 1), np.prod(wide.ref, 1), np.max(wide.ref, 1), np.sum(wide)];
    }),
    ...one([ints], (x) => [np.max(x.ref), np.min(x.ref), np.sum(x)]),
    ...one([flags], (x) => [np.any(x.ref), np.all(x)]),
    ...one([words], (x) => [np.sum(x.ref), np.max(x.ref), np.min(x)]),
  ],
  dot: [
    ...one([wave(4, 5), wave(5, 6)], (a, b) => np.matmul(a, b)),
    ...one([wave(5, 4), wave(6, 5)], (a, b) => np.matmul(a.transpose(), b.transpose())),
    ...one([wave(4, 5), wave(4, 6)], (a, b) => np.matmul(a.transpose(), b)),
    ...one([...matrices], (a, b) => np.matmul(a, b.transpose([0, 1, 3, 2]))),
    ...one([...matrices], (a, b) => np.matmul(b.transpose([1, 0, 2, 3]), a.transpose([1, 0, 3, 2]))),
    ...one([wave(7), wave(7)], (a, b) => np.dot(a, b)),
    ...one([wave(6, 7), wave(7)], (a, b) => np.matmul(a, b)),
    ...one([wave(3, 4, 5), wave(5, 2)], (a, b) => np.tensordot(a, b, 1)),
    ...one([int32([2, 3], [1, 2, 3, 4, 5, 6]), int32([3, 2], [1, 2, 3, 4, 5, 6])], (a, b) => np.matmul(a, b)),
    ...one([wave(3, 4), wave(3)], (a, b) => np.matmul(a, np.broadcastTo(b.reshape([1, 3]), [4, 3]))),
  ],
  conv: [
    ...one([wave(2, 3, 7, 6), wave(4, 3, 3, 2)], (x, w) => lax.convGeneralDilated(x, w, [1, 1], "SAME")),
    ...one([wave(2, 3, 9), wave(4, 3, 3)], (x, w) =>
      lax.convGeneralDilated(x, w, [2], [[2, 1]], { rhsDilation: [2] }),
    ),
    ...one([wave(1, 2, 4, 4), wave(3, 2, 3, 3)], (x, w) =>
      lax.convGeneralDilated(
        x,
        w,
        [1, 1],
        [
          [2, 2],
          [2, 2],
        ],
        { lhsDilation: [2, 2] },
      ),
    ),
    ...one([wave(2, 4, 5, 5), wave(6, 2, 3, 3)], (x, w) =>
      lax.convGeneralDilated(x, w, [1, 1], "VALID", { featureGroupCount: 2 }),
    ),
    ...one([wave(5, 3, 6, 6), wave(4, 3, 1, 1)], (x, w) => lax.convGeneralDilated(x, w, [1, 1], "VALID")),
    ...GROUPED_CONVOLUTIONS.flatMap(groupedConvolution),
  ],
  pool: [
    ...one([wave(2, 3, 6, 6)], (x) =>
      lax.reduceWindow(x, (window: JaxArray) => np.max(window), [2, 2], [2, 2]),
    ),
    ...one([wave(2, 7, 7)], (x) => lax.reduceWindow(x, (window: JaxArray) => np.sum(window), [3, 3], [2, 2])),
  ],
  pool_transpose: [
    ...one(
      [wave(2, 7, 7)],
      grad((x: JaxArray) => np.sum(np.square(windowSums(x, [3, 3], [2, 2])))),
    ),
    ...one(
      [wave(2, 6, 7)],
      grad((x: JaxArray) => np.sum(np.square(windowSums(x, [2, 2], [2, 3])))),
    ),
    ...one(
      [wave(2, 9)],
      grad((x: JaxArray) => np.sum(np.square(windowSums(x, [5], [1])))),
    ),
  ],
  compare: [
    ...one([special, reversed], (a, b) => [
      np.less(a.ref, b.ref),
      np.equal(a.ref, b.ref),
      np.notEqual(a.ref, b.ref),
      np.lessEqual(a, b),
    ]),
    ...one([ints, divisors], (a, b) => [np.less(a.ref, b.ref), np.greaterEqual(a, b)]),
  ],
  where: [
    ...one([special], (x) => np.where(x.ref.less(0), 0, x)),
    ...one([special], (x) => np.where(x.ref.less(1), 0, x)),
    ...one([special, reversed], (x, y) => np.where(x.less(0), 0, y)),
    ...one([bool([4], [1, 0, 1, 0]), wave(3, 4), wave(3, 1)], (c, a, b) => np.where(c, a, b)),
    ...one([flags, words], (c, a) => np.where(c, a, a.ref.add(1))),
    ...one([flags, otherFlags], (c, a) => np.where(c, a, np.logicalNot(a.ref))),
  ],
  concatenate: [
    ...one([wave(2, 3), wave(4, 3)], (a, b) => np.concatenate([a, b], 0)),
    ...one([wave(3, 2), wave(4, 3)], (a, b) => np.concatenate([a.transpose(), b], 0)),
    ...one([wave(2, 1), wave(2, 3)], (a, b) => np.concatenate([np.broadcastTo(a, [2, 4]), b], 1)),
    ...one([wave(2, 2)], (x) =>
      np.concatenate(
        Array.from({ length: 11 }, (_, i) => (i < 10 ? x.ref : x).mul(i)),
        1,
      ),
    ),
  ],
  split: [
    ...one(
      [wave(6, 4)],
      grad((x: JaxArray) => np.sum(np.square(np.stack(np.split(x, 3, 0)).prod(0)))),
    ),
    ...one([wave(4, 9)], (x) => np.split(x, [2, 5], 1)),
    ...one([wave(4, 6)], (x) => np.split(x.transpose(), 3, 0)),
  ],
  random_bits: [
    { inputs: [uint32([2], [17, 42])], run: (key) => random.bits(key, [3, 5]) },
    { inputs: [uint32([2], [1, 2])], run: (key) => random.uniform(key, [70, 70]) },
    { inputs: [uint32([2], [5, 0])], run: (key) => random.split(key, 3) },
  ],
  gather: [
    ...one([wave(5, 3), int32([4], [4, 0, 2, 2])], (x, i) => np.take(x, i, 0)),
    ...one([wave(3, 5), int32([2, 2], [4, 0, 2, 2])], (x, i) => np.take(x.transpose(), i, 0)),
    ...one([wave(2, 5, 3), int32([2], [1, 3])], (x, i) => np.take(x, i, 1)),
    ...one([wave(4, 5), int32([3], [0, 1, 3]), int32([3], [4, 2, 0])], (x, i, j) => x.slice(i, j)),
  ],
  transpose: one([wave(2, 3, 4)], (x) => x.transpose([2, 0, 1])),
  broadcast: one([wave(3)], (x) => np.broadcastTo(x, [2, 3])),
  reshape: [
    ...one([wave(4, 6)], (x) => x.reshape([3, 8])),
    ...one([wave(4, 6)], (x) => x.transpose().reshape([8, 3])),
    ...one([wave(4)], (x) => np.broadcastTo(x.reshape([4, 1]), [4, 6]).reshape([3, 8])),
  ],
  flip: one([wave(3, 4)], (x) => [np.flip(x.ref, 0), np.flip(x.transpose())]),
  shrink: [
    ...one([wave(5, 6)], (x) => x.slice([1, 4], [2, 5])),
    ...one([wave(4, 6)], (x) => x.reshape([4, 2, 3]).slice([], [1, 2], [0, 2])),
    ...one([wave(4, 6)], (x) =>
      x.transpose().reshape([2, 3, 4]).transpose([2, 0, 1]).reshape([8, 3]).slice([2, 7]),
    ),
  ],
  pad: [
    ...one([wave(2, 3), wave(2, 2)], (a, b) =>
      np
        .pad(a, [
          [0, 0],
          [0, 2],
        ])
        .add(
          np.pad(b, [
            [0, 0],
            [3, 0],
          ]),
        ),
    ),
    ...one([wave(2, 3), wave(2, 3)], (a, b) =>
      np
        .pad(a, [
          [0, 0],
          [0, 2],
        ])
        .add(
          np.pad(b, [
            [0, 0],
            [2, 0],
          ]),
        ),
    ),
    ...one([wave(2, 3)], (x) =>
      np.pad(x, [
        [1, 0],
        [0, 2],
      ]),
    ),
    ...one([flags], (x) => np.pad(x, [[1, 2]])),
    // Dimensions of size 1 side by side: each grows by itself.
    ...one([wave(3, 1, 1), wave(1, 1, 1, 2)], (x, y) => [
      np.pad(x, [
        [0, 0],
        [0, 1],
        [0, 1],
      ]),
      np.pad(y, [
        [1, 0],
        [0, 2],
        [1, 1],
        [0, 0],
      ]),
    ]),
    ...one([wave(4, 3)], (x) =>
      np.pad(x.reshape([4, 1, 3]), [
        [0, 0],
        [0, 1],
        [0, 0],
      ]),
    ),
  ],
  sort: [
    ...one([words], (x) => np.sort(x)),
    ...one([ints], (x) => np.sort(x)),
    ...one([wave(3, 9), float32([5], [3, NAN, -INF, INF, 1])], (x, y) => [np.sort(x), np.sort(y)]),
  ],
  argsort: one([wave(3, 9), float32([5], [3, NAN, -INF, INF, 3])], (x, y) => [np.argsort(x), np.argsort(y)]),
  scatter: [
    ...one([wave(5, 3), int32([4], [4, 0, 2, 2])], (x, i) =>
      grad((y: JaxArray) => np.sum(np.square(np.take(y, i, 0))))(x),
    ),
    ...one([wave(2, 5, 3), int32([2], [1, 3])], (x, i) =>
      grad((y: JaxArray) => np.sum(np.square(np.take(y, i, 1))))(x),
    ),
    ...one([wave(4, 5), int32([3], [0, 1, 3]), int32([3], [4, 2, 0])], (x, i, j) =>
      grad((y: JaxArray) => np.sum(np.square(y.slice(i, j))))(x),
    ),
  ],
  triangular_solve: one([triangle, wave(2, 3)], (a, b) => lax.linalg.triangularSolve(a, b)),
  cholesky: one([definite], (x) => lax.linalg.cholesky(x)),
  lu: one([definite], (x) => [...lax.linalg.lu(x)]),
  jacobi_eigh: one([definite], (x) => np.linalg.eigvalsh(x)),
  fft: one([wave(8)], (x) => np.fft.fft({ real: x, imag: np.zeros([8]) }).real),
};
