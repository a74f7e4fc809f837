/** Comparisons, logic, choices and casts: mostly what makes masks. */
import { numpy as np } from "@jax-js/jax";
import type { JaxArray } from "../../../trace.js";
import { TensorProto_DataType } from "../../gen/onnx_pb.js";
import { type ElementType, elementTypeOf, isFloat } from "../element-type.js";
import { staticTensor } from "../static.js";
import { arrayOf, shared, traced, type Value } from "../value.js";
import { elementwise } from "./arithmetic.js";
import { type Operator, operator } from "./rule.js";

function comparison(
  fold: (a: number, b: number) => boolean,
  compute: (a: JaxArray, b: JaxArray) => JaxArray,
): Operator {
  return operator((node) =>
    elementwise(
      [node.input(0), node.input(1)],
      "bool",
      (a = 0, b = 0) => (fold(a, b) ? 1 : 0),
      (a, b) => compute(a as JaxArray, b as JaxArray),
    ),
  );
}

/** The value with elements of another type. Borrows it. */
export function cast(value: Value, type: ElementType): Value {
  if (value.type === type) return shared(value);
  if (value.kind === "static") return staticTensor(type, value.shape, toType(value.type, type, value.data));
  const array = value.array.ref;
  if (isFloat(type)) return traced("float32", value.type === "float32" ? array : array.astype(np.float32));
  if (type === "bool") return traced("bool", array.notEqual(0));
  const isWhole = value.type === "int32" || value.type === "int64";
  return traced(type, isWhole ? array : array.astype(np.int32));
}

/** Fractions are cut off; what is not 0 is true. */
function toType(from: ElementType, to: ElementType, data: Float64Array): Float64Array {
  if (to === "bool") return data.map((value) => (value === 0 ? 0 : 1));
  return isFloat(from) && !isFloat(to)
    ? data.map((value) => (Number.isFinite(value) ? Math.trunc(value) : 0))
    : data;
}

export const logicOperators = {
  Equal: comparison(
    (a, b) => a === b,
    (a, b) => a.equal(b),
  ),
  Less: comparison(
    (a, b) => a < b,
    (a, b) => a.less(b),
  ),
  Greater: comparison(
    (a, b) => a > b,
    (a, b) => a.greater(b),
  ),
  LessOrEqual: comparison(
    (a, b) => a <= b,
    (a, b) => a.lessEqual(b),
  ),
  GreaterOrEqual: comparison(
    (a, b) => a >= b,
    (a, b) => a.greaterEqual(b),
  ),
  And: comparison(
    (a, b) => a !== 0 && b !== 0,
    (a, b) => np.logicalAnd(a, b),
  ),
  Or: comparison(
    (a, b) => a !== 0 || b !== 0,
    (a, b) => np.logicalOr(a, b),
  ),
  Xor: comparison(
    (a, b) => (a !== 0) !== (b !== 0),
    (a, b) => np.logicalXor(a, b),
  ),
  Not: operator((node) =>
    elementwise(
      [node.input(0)],
      "bool",
      (a = 0) => (a === 0 ? 1 : 0),
      (a) => np.logicalNot(a as JaxArray),
    ),
  ),
  IsNaN: operator((node) =>
    elementwise(
      [node.input(0)],
      "bool",
      (a = 0) => (Number.isNaN(a) ? 1 : 0),
      (a) => (a as JaxArray).ref.notEqual(a as JaxArray),
    ),
  ),
  Where: operator((node) => {
    const [condition, yes, no] = [node.input(0), node.input(1), node.input(2)];
    return elementwise(
      [condition, yes, no],
      yes.type,
      (c = 0, a = 0, b = 0) => (c === 0 ? b : a),
      (c, a, b) => np.where(c as JaxArray, a as JaxArray, b as JaxArray),
    );
  }),
  Cast: operator((node) => {
    node.ignore("saturate", "round_mode");
    const to = node.int("to", TensorProto_DataType.FLOAT);
    return cast(node.input(0), elementTypeOf(to, "its result"));
  }),
  CastLike: operator((node) => {
    node.ignore("saturate", "round_mode");
    return cast(node.input(0), node.input(1).type);
  }),
} satisfies Record<string, Operator>;

/** The value as an array of float32, the caller's own. Borrows it. */
export function floatArray(value: Value): JaxArray {
  const float = cast(value, "float32");
  const array = arrayOf(float);
  if (float.kind === "traced") float.array.dispose();
  return array;
}
