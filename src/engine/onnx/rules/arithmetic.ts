/** Emits arithmetic on tensors that broadcast, with the meaning that jax-js gives it for every dtype. */

import { equalShapes, type GraphBuilder, type Value } from "../graph.js";
import type { OnnxType } from "../onnx-type.js";
import { mean, productPlusRow } from "./fusion.js";

export type Operands = readonly [Value, Value];
type Shape = readonly number[];

/** Exact in float32: the double result of these, rounded once more, is the float32 result. */
const FOLD: Readonly<Record<string, (a: number, b: number) => number>> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => a / b,
};

/** The element of a float32 scalar constant. */
export function constantScalar(value: Value): number | undefined {
  if (!value.constant || value.dtype !== "float32" || value.constant.length !== 4) return undefined;
  return new DataView(value.constant.buffer, value.constant.byteOffset, 4).getFloat32(0, true);
}

/** An operator of two operands and one dtype; on two scalar constants it is computed here. */
export function binary(graph: GraphBuilder, op: string, [a, b]: Operands, shape: Shape): Value {
  const fold = FOLD[op];
  const [x, y] = [constantScalar(a), constantScalar(b)];
  if (fold && x !== undefined && y !== undefined && shape.length === 0) {
    return graph.scalar("float32", fold(x, y));
  }
  return graph.node(op, [a, b], { dtype: a.dtype, shape });
}

export function unary(graph: GraphBuilder, op: string, x: Value): Value {
  return graph.node(op, [x], { dtype: x.dtype, shape: x.shape });
}

export function logical(graph: GraphBuilder, op: string, operands: readonly Value[], shape: Shape): Value {
  return graph.node(op, operands, { dtype: "bool", shape });
}

/** a + b; of bools: or. */
export function add(graph: GraphBuilder, operands: Operands, shape: Shape): Value {
  const [a, b] = operands;
  if (a.dtype === "bool") return logical(graph, "Or", operands, shape);
  return productPlusRow(graph, a, b) ?? binary(graph, "Add", operands, shape);
}

/** a · b; of bools: and. */
export function mul(graph: GraphBuilder, operands: Operands, shape: Shape): Value {
  const [a, b] = operands;
  if (a.dtype === "bool") return logical(graph, "And", operands, shape);
  if (constantScalar(a) === 1) return b;
  if (constantScalar(b) === 1) return a;
  const negative = negativeTimes(graph, a, b) ?? negativeTimes(graph, b, a);
  return negative ?? mean(graph, a, b, constantScalar) ?? binary(graph, "Mul", operands, shape);
}

/** (0 − x)·c for a constant c > 0, as 0 − x·c: a sum takes it in then as one subtraction. */
function negativeTimes(graph: GraphBuilder, negative: Value, factor: Value): Value | undefined {
  const x = negatedBy(graph, negative);
  if (!x || !((constantScalar(factor) ?? 0) > 0)) return undefined;
  return negate(graph, mul(graph, [x, factor], x.shape));
}

/** 0 − x, as jax-js has it: the negative of 0 is 0, not −0. */
export function negate(graph: GraphBuilder, x: Value): Value {
  return binary(graph, "Sub", [graph.scalar(x.dtype, 0), x], x.shape);
}

/** The x of which `value` is 0 − x. */
export function negatedBy(graph: GraphBuilder, value: Value): Value | undefined {
  const node = graph.producer(value);
  const [zero, x] = node?.inputs ?? [];
  return node?.op === "Sub" && zero && constantScalar(zero) === 0 ? x : undefined;
}

/** The x of which `value`, of the same shape, is −1·x. */
export function timesMinusOne(graph: GraphBuilder, value: Value): Value | undefined {
  const node = graph.producer(value);
  const [a, b] = node?.op === "Mul" ? node.inputs : [];
  if (!a || !b) return undefined;
  const x = constantScalar(b) === -1 ? a : constantScalar(a) === -1 ? b : undefined;
  return x && equalShapes(x.shape, value.shape) ? x : undefined;
}

/** NaN where either is NaN. */
export function extremum(graph: GraphBuilder, op: "Min" | "Max", operands: Operands, shape: Shape): Value {
  const [a, b] = operands;
  if (a.dtype === "bool") return logical(graph, op === "Max" ? "Or" : "And", operands, shape);
  if (op === "Max" && constantScalar(b) === 0) return unary(graph, "Relu", a);
  if (op === "Max" && constantScalar(a) === 0) return unary(graph, "Relu", b);
  return graph.node(op, [a, b], { dtype: a.dtype, shape });
}

/** The quotient without its fraction. A whole number divided by 0 gives itself: it must not stop the process. */
export function divideTruncated(graph: GraphBuilder, [a, b]: Operands, shape: Shape): Value {
  if (a.dtype === "float32") return truncate(graph, binary(graph, "Div", [a, b], shape));
  if (b.constant?.some((byte) => byte !== 0) && b.shape.length === 0)
    return binary(graph, "Div", [a, b], shape);
  const isZero = logical(graph, "Equal", [b, graph.scalar(b.dtype, 0)], b.shape);
  const divisor = select(graph, [isZero, graph.scalar(b.dtype, 1), b], b.shape);
  return binary(graph, "Div", [a, divisor], shape);
}

function truncate(graph: GraphBuilder, x: Value): Value {
  const negative = logical(graph, "Less", [x, graph.scalar("float32", 0)], x.shape);
  return select(graph, [negative, unary(graph, "Ceil", x), unary(graph, "Floor", x)], x.shape);
}

/** The remainder with the sign of the dividend, as in C. */
export function remainder(graph: GraphBuilder, [a, b]: Operands, shape: Shape): Value {
  return graph.node("Mod", [a, b], { dtype: a.dtype, shape }, { fmod: 1 });
}

/** condition ? a : b. ONNX Runtime has no Where for bool and uint32. */
export function select(
  graph: GraphBuilder,
  [condition, a, b]: readonly [Value, Value, Value],
  shape: Shape,
): Value {
  if (a.dtype === "bool") {
    const no = logical(graph, "Not", [condition], condition.shape);
    return logical(
      graph,
      "Or",
      [
        logical(graph, "And", [condition, a], broadcastShape(condition.shape, a.shape)),
        logical(graph, "And", [no, b], broadcastShape(no.shape, b.shape)),
      ],
      shape,
    );
  }
  if (a.dtype === "uint32") {
    const signed = graph.node("Where", [condition, graph.cast(a, "int32"), graph.cast(b, "int32")], {
      dtype: "int32",
      shape,
    });
    return graph.cast(signed, "uint32");
  }
  return graph.node("Where", [condition, a, b], { dtype: a.dtype, shape });
}

function broadcastShape(a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) =>
    Math.max(a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1),
  );
}

/** Which way a shift goes; shifted-in bits are 0, also for int32. */
export function shift(graph: GraphBuilder, op: "shl" | "shr", [a, b]: Operands, shape: Shape): Value {
  const bits = graph.node(
    "BitShift",
    [graph.cast(a, "uint32"), graph.cast(b, "uint32")],
    { dtype: "uint32", shape },
    {
      direction: op === "shl" ? "LEFT" : "RIGHT",
    },
  );
  return graph.cast(bits, a.dtype);
}

const BITWISE = { and: "BitwiseAnd", or: "BitwiseOr", xor: "BitwiseXor" } as const;
const LOGICAL = { and: "And", or: "Or", xor: "Xor" } as const;

export function combineBits(
  graph: GraphBuilder,
  op: "and" | "or" | "xor",
  [a, b]: Operands,
  shape: Shape,
): Value {
  if (a.dtype === "bool") return logical(graph, LOGICAL[op], [a, b], shape);
  return graph.node(BITWISE[op], [a, b], { dtype: a.dtype, shape });
}

/** The number of set bits, as int32, by sums of neighbours (Warren, Hacker's Delight, §5–1). */
export function countBits(graph: GraphBuilder, x: Value): Value {
  const { shape } = x;
  const word = (value: number) => graph.scalar("uint32", value);
  const right = (v: Value, by: number) => shift(graph, "shr", [v, word(by)], shape);
  const and = (v: Value, mask: number) => combineBits(graph, "and", [v, word(mask)], shape);
  const plus = (a: Value, b: Value) => binary(graph, "Add", [a, b], shape);
  const bits = graph.cast(x, "uint32");
  const pairs = plus(and(bits, 0x55555555), and(right(bits, 1), 0x55555555));
  const nibbles = plus(and(pairs, 0x33333333), and(right(pairs, 2), 0x33333333));
  const bytes = and(plus(nibbles, right(nibbles, 4)), 0x0f0f0f0f);
  const sum = right(binary(graph, "Mul", [bytes, word(0x01010101)], shape), 24);
  return graph.cast(sum, "int32");
}

/** The largest whole number of each dtype, the float32 below it, and the least. */
const LIMITS = {
  int32: { least: -(2 ** 31), below: 2147483520, largest: 2 ** 31 - 1 },
  uint32: { least: 0, below: 4294967040, largest: 2 ** 32 - 1 },
} as const;

/** A cast as WebAssembly does it: floats to whole numbers saturate, and NaN becomes 0. */
export function convert(graph: GraphBuilder, x: Value, dtype: OnnxType): Value {
  if (x.dtype !== "float32" || (dtype !== "int32" && dtype !== "uint32")) return graph.cast(x, dtype);
  const { least, below, largest } = LIMITS[dtype];
  const { shape } = x;
  const float = (value: number) => graph.scalar("float32", value);
  const isNan = logical(graph, "IsNaN", [x], shape);
  const number = select(graph, [isNan, float(0), x], shape);
  const clipped = graph.node("Clip", [number, float(least), float(below)], { dtype: "float32", shape });
  const isAbove = logical(graph, "Less", [float(below), number], shape);
  return select(graph, [isAbove, graph.scalar(dtype, largest), graph.cast(clipped, dtype)], shape);
}

/** uint32 as int32 in the same order, and back: ONNX Runtime 1.30 compares no uint32 and, wrongly, int64. */
export function signedOrder(graph: GraphBuilder, x: Value, to: "int32" | "uint32"): Value {
  const half = graph.scalar("uint32", 2 ** 31);
  const flipped = combineBits(graph, "xor", [graph.cast(x, "uint32"), half], x.shape);
  return graph.cast(flipped, to);
}

/** 1 − erf(x) by Abramowitz & Stegun 7.1.26, the formula that jax-js uses: it keeps small results apart from 0. */
export function erfc(graph: GraphBuilder, x: Value): Value {
  const { shape } = x;
  const float = (value: number) => graph.scalar("float32", value);
  const times = (a: Value, b: Value) => binary(graph, "Mul", [a, b], shape);
  const plus = (a: Value, b: Value) => binary(graph, "Add", [a, b], shape);
  const size = unary(graph, "Abs", x);
  const t = unary(graph, "Reciprocal", plus(times(size, float(0.3275911)), float(1)));
  const coefficients = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592];
  const polynomial = coefficients
    .slice(1)
    .reduce((sum, c) => plus(times(sum, t), float(c)), graph.scalar("float32", coefficients[0] ?? 0));
  const tail = times(times(polynomial, t), unary(graph, "Exp", negate(graph, times(x, x))));
  const isNegative = logical(graph, "Less", [x, float(0)], shape);
  return select(graph, [isNegative, binary(graph, "Sub", [float(2), tail], shape), tail], shape);
}
