/** Rules of the primitives that work element by element. */
import type { DType } from "../../../contracts/tensor.js";
import type { Atom } from "../../ir.js";
import type { GraphBuilder, Value } from "../graph.js";
import type { OnnxType } from "../onnx-type.js";
import type { View } from "../views/view.js";
import * as arithmetic from "./arithmetic.js";
import { joinPads } from "./join-pads.js";
import {
  asPrimitive,
  type Context,
  castView,
  elementwise,
  inputOf,
  mapBase,
  outputOf,
  type Rule,
} from "./rule.js";

type Emit = (graph: GraphBuilder, operands: arithmetic.Operands, shape: readonly number[]) => Value;

/** Two operands, cast to the dtype of the result. */
function binary(emit: Emit): Rule {
  return (context) => [emitBinary(context, context.inputs, outputOf(context).dtype, emit)];
}

function emitBinary(context: Context, views: readonly View[], dtype: OnnxType, emit: Emit): View {
  const { graph } = context;
  const cast = views.map((view) => castView(graph, view, dtype));
  return elementwise(graph, cast, outputOf(context).shape, (operands, shape) =>
    emit(graph, operands as unknown as arithmetic.Operands, shape),
  );
}

/** One operand, of which only the base is computed: what is broadcast is computed once. */
function unary(emit: (graph: GraphBuilder, x: Value) => Value): Rule {
  return (context) => [mapBase(inputOf(context, 0), (base) => emit(context.graph, base))];
}

function operator(op: string): Rule {
  return unary((graph, x) => arithmetic.unary(graph, op, x));
}

/** a + b. Where b = 0 − c or b = −1·c (or a is), one subtraction; where both are padded and do not overlap, joined. */
const add: Rule = (context) => {
  const [a, b] = [inputOf(context, 0), inputOf(context, 1)];
  const { dtype } = outputOf(context);
  if (dtype === "float32") {
    const right = negated(context.graph, b);
    if (right) return [emitBinary(context, [a, right], dtype, subtract)];
    const left = negated(context.graph, a);
    if (left) return [emitBinary(context, [b, left], dtype, subtract)];
    const joined = joinPads(context);
    if (joined) return [joined];
  }
  return [emitBinary(context, [a, b], dtype, arithmetic.add)];
};

const subtract: Emit = (graph, operands, shape) => arithmetic.binary(graph, "Sub", operands, shape);

function negated(graph: GraphBuilder, view: View): View | undefined {
  const base = arithmetic.negatedBy(graph, view.base) ?? arithmetic.timesMinusOne(graph, view.base);
  return base && { ...view, base };
}

const WIDTH: { readonly [D in OnnxType]: number } = { bool: 0, uint32: 1, int32: 2, int64: 3, float32: 4 };

const COMPARISON = { less: "Less", less_equal: "LessOrEqual", equal: "Equal", not_equal: "Equal" } as const;

const compare: Rule<"compare"> = (context) => {
  const { op } = context.params;
  const dtypes = context.inputs.map((view) => view.base.dtype);
  const widest = dtypes.reduce((a, b) => (WIDTH[a] >= WIDTH[b] ? a : b));
  const isOrder = op === "less" || op === "less_equal";
  return [
    emitBinary(
      context,
      context.inputs,
      isOrder && widest === "bool" ? "int32" : widest,
      (graph, pair, shape) => {
        const result = arithmetic.logical(graph, COMPARISON[op], pair, shape);
        return op === "not_equal" ? arithmetic.logical(graph, "Not", [result], shape) : result;
      },
    ),
  ];
};

/** x < 0 ? 0 : x, which Relu is, NaN and −0 included: the x, or undefined for any other choice. */
function rectified(context: Context): View | undefined {
  const [condition, zero, x] = context.equation.inputs;
  const comparison = asPrimitive(context.producers[0], "compare")?.equation;
  if (condition?.kind !== "variable" || comparison?.params.op !== "less") return undefined;
  const [left, right] = comparison.inputs;
  const isZero = (atom: Atom | undefined) => atom?.kind === "literal" && atom.value === 0;
  const isX = left?.kind === "variable" && x?.kind === "variable" && left.id === x.id;
  return isX && isZero(right) && isZero(zero) && x.dtype === "float32" ? inputOf(context, 2) : undefined;
}

const where: Rule = (context) => {
  const { graph } = context;
  const x = rectified(context);
  if (x) return [mapBase(x, (base) => arithmetic.unary(graph, "Relu", base))];
  const { dtype, shape } = outputOf(context);
  const views = [
    castView(graph, inputOf(context, 0), "bool"),
    castView(graph, inputOf(context, 1), dtype),
    castView(graph, inputOf(context, 2), dtype),
  ];
  return [
    elementwise(graph, views, shape, (operands, common) =>
      arithmetic.select(graph, operands as unknown as [Value, Value, Value], common),
    ),
  ];
};

const bitcast: Rule<"bitcast"> = (context) => {
  const { graph } = context;
  const { dtype } = outputOf(context);
  return [
    mapBase(inputOf(context, 0), (base) =>
      base.dtype === dtype
        ? base
        : graph.node("BitCast", [base], { dtype, shape: base.shape }, { to: dtype satisfies DType }),
    ),
  ];
};

export const elementwiseRules = {
  add,
  mul: binary(arithmetic.mul),
  idiv: binary(arithmetic.divideTruncated),
  mod: binary(arithmetic.remainder),
  min: binary((graph, pair, shape) => arithmetic.extremum(graph, "Min", pair, shape)),
  max: binary((graph, pair, shape) => arithmetic.extremum(graph, "Max", pair, shape)),
  bit_combine: ((context) =>
    binary((graph, pair, shape) => arithmetic.combineBits(graph, context.params.op, pair, shape))(
      context,
    )) as Rule<"bit_combine">,
  bit_shift: ((context) =>
    binary((graph, pair, shape) => arithmetic.shift(graph, context.params.op, pair, shape))(
      context,
    )) as Rule<"bit_shift">,
  bit_count: unary(arithmetic.countBits),
  neg: unary(arithmetic.negate),
  reciprocal: unary((graph, x) => {
    const constant = arithmetic.constantScalar(x);
    return constant === undefined
      ? arithmetic.unary(graph, "Reciprocal", x)
      : graph.reshape(graph.scalar("float32", 1 / constant), x.shape);
  }),
  floor: operator("Floor"),
  ceil: operator("Ceil"),
  stop_gradient: unary((_graph, x) => x),
  cast: ((context) => [
    mapBase(inputOf(context, 0), (base) => arithmetic.convert(context.graph, base, context.params.dtype)),
  ]) as Rule<"cast">,
  bitcast,
  sin: operator("Sin"),
  cos: operator("Cos"),
  asin: operator("Asin"),
  atan: operator("Atan"),
  exp: operator("Exp"),
  log: operator("Log"),
  erf: operator("Erf"),
  erfc: unary(arithmetic.erfc),
  sqrt: operator("Sqrt"),
  compare,
  where,
};
