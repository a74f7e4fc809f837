/** Elementwise arithmetic with NumPy's broadcasting: https://onnx.ai/onnx/operators/ */
import { lax, numpy as np } from "@jax-js/jax";
import type { JaxArray } from "../../../trace.js";
import { type ElementType, isFloat } from "../element-type.js";
import type { NodeContext } from "../node-context.js";
import { mapped, type StaticTensor } from "../static.js";
import { arrayOf, scalarValue, shapeOfValue, shared, traced, type Value } from "../value.js";
import { type Operator, type OperatorRule, operator } from "./rule.js";

type Fold = (...values: number[]) => number;
/** Owns its operands. */
type Compute = (...arrays: JaxArray[]) => JaxArray;

function allStatic(values: readonly Value[]): readonly StaticTensor[] | undefined {
  const known = values.flatMap((value) => (value.kind === "static" ? [value] : []));
  return known.length === values.length ? known : undefined;
}

/** An operation on elements, on values of any kind; borrows them. */
export function elementwise(
  values: readonly Value[],
  type: ElementType,
  fold: Fold,
  compute: Compute,
): Value {
  const known = allStatic(values);
  return known ? mapped(type, known, fold) : traced(narrowed(type), compute(...values.map(arrayOf)));
}

/** Constants of float64 become float32 where they meet an array. */
function narrowed(type: ElementType): ElementType {
  return type === "float64" ? "float32" : type;
}

function binary(fold: Fold, compute: (a: JaxArray, b: JaxArray, isWhole: boolean) => JaxArray): OperatorRule {
  return (node) => {
    const [a, b] = [node.input(0), node.input(1)];
    if (a.type !== b.type) throw new RangeError(`its operands hold ${a.type} and ${b.type}`);
    const isWhole = !isFloat(a.type);
    return elementwise([a, b], a.type, fold, (x, y) => compute(x as JaxArray, y as JaxArray, isWhole));
  };
}

/** An operation on each element of one floating-point tensor (whole numbers where they are known). */
export function unary(fold: Fold, compute: (x: JaxArray, node: NodeContext) => JaxArray): Operator {
  return operator((node) => {
    const x = node.input(0);
    return elementwise([x], x.type, fold, (array) => compute(array as JaxArray, node));
  });
}

function variadic(
  combine: (a: number, b: number) => number,
  compute: (a: JaxArray, b: JaxArray) => JaxArray,
): Operator {
  return operator((node) => {
    const [first, ...rest] = node.allInputs();
    if (!first) throw new RangeError("it has no operand");
    return rest.reduce(
      (sum, value) =>
        elementwise(
          [sum, value],
          value.type,
          (a = 0, b = 0) => combine(a, b),
          (a, b) => compute(a as JaxArray, b as JaxArray),
        ),
      shared(first),
    );
  });
}

/** Whole numbers are divided toward zero. */
const div = binary(
  (a = 0, b = 0) => a / b,
  (a, b, isWhole) => (isWhole ? a.div(b) : a.mul(np.reciprocal(b))),
);

/** x to a known power; written out where it is 2, 3, ½ or −½: the general form has no gradient at 0. */
const pow: OperatorRule = (node) => {
  const [x, y] = [node.input(0), node.input(1)];
  if (x.kind === "static" && y.kind === "static") return mapped(x.type, [x, y], (a = 0, b = 0) => a ** b);
  const exponent = y.kind === "static" && new Set(y.data).size === 1 ? y.data[0] : undefined;
  if (exponent === undefined) return traced(x.type, np.power(arrayOf(x), arrayOf(y)));
  if (shapeOfValue(y).length > shapeOfValue(x).length)
    throw new RangeError("its exponent has more dimensions than its base");
  return traced(x.type, powerOf(arrayOf(x), exponent));
};

function powerOf(x: JaxArray, exponent: number): JaxArray {
  switch (exponent) {
    case 1:
      return x;
    case 2:
      return np.square(x);
    case 3:
      return np.square(x.ref).mul(x);
    case 0.5:
      return np.sqrt(x);
    case -0.5:
      return np.reciprocal(np.sqrt(x));
    case -1:
      return np.reciprocal(x);
    default:
      return np.power(x, exponent);
  }
}

/** `fmod` = 1 takes the sign of the dividend, 0 that of the divisor. */
const mod: OperatorRule = (node) => {
  const [a, b] = [node.input(0), node.input(1)];
  const truncates = node.oneOf("fmod", [0, 1]) === 1;
  const fold: Fold = (x = 0, y = 0) => (truncates ? x % y : x - y * Math.floor(x / y));
  return elementwise([a, b], a.type, fold, (x, y) => {
    if (truncates) throw new RangeError("fmod = 1 is not supported");
    return np.remainder(x as JaxArray, y as JaxArray);
  });
};

/** The bounds are attributes before operator set 11, operands from then on; each may be left out. */
const clipByAttributes: OperatorRule = (node) => {
  const bounds = [node.float("min", Number.NEGATIVE_INFINITY), node.float("max", Number.POSITIVE_INFINITY)];
  return clip(
    node.input(0),
    bounds.map((bound) => (Math.abs(bound) >= LARGEST ? undefined : scalarValue(bound))),
  );
};

/** What exporters write for "no bound". */
const LARGEST = 3.4028234e38;

const clipByOperands: OperatorRule = (node) =>
  clip(node.input(0), [node.optionalInput(1), node.optionalInput(2)]);

function clip(x: Value, [low, high]: readonly (Value | undefined)[]): Value {
  // One bound is a choice with two uses of x, as relu is: the same bits with and without gradients.
  const raised = low
    ? elementwise(
        [x, low],
        x.type,
        (a = 0, b = 0) => Math.max(a, b),
        (a, b) => np.where((a as JaxArray).ref.less((b as JaxArray).ref), b as JaxArray, a as JaxArray),
      )
    : shared(x);
  if (!high) return raised;
  return elementwise(
    [raised, high],
    x.type,
    (a = 0, b = 0) => Math.min(a, b),
    (a, b) => np.where((b as JaxArray).ref.less((a as JaxArray).ref), b as JaxArray, a as JaxArray),
  );
}

function erfOf(x: number): number {
  // Abramowitz and Stegun 7.1.26: for constants alone.
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const poly =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - poly * Math.exp(-x * x));
}

/** Ties go to the even number, as in IEEE 754. */
function roundToEven(x: number): number {
  const nearest = Math.round(x);
  return Math.abs(x % 1) === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
}

/** A whole tensor that is added to something or multiplied with it may be a weight. */
const WEIGHTS = { weights: [0, 1] } as const;

export const arithmeticOperators = {
  Add: operator(
    binary(
      (a = 0, b = 0) => a + b,
      (a, b) => a.add(b),
    ),
    WEIGHTS,
  ),
  Sub: operator(
    binary(
      (a = 0, b = 0) => a - b,
      (a, b) => a.sub(b),
    ),
    WEIGHTS,
  ),
  Mul: operator(
    binary(
      (a = 0, b = 0) => a * b,
      (a, b) => a.mul(b),
    ),
    WEIGHTS,
  ),
  Div: operator(div, WEIGHTS),
  Pow: operator(pow),
  Mod: operator(mod, { except: "fmod = 1" }),
  Neg: unary(
    (x = 0) => -x,
    (x) => x.neg(),
  ),
  Abs: unary(
    (x = 0) => Math.abs(x),
    (x) => np.where(x.ref.less(0), x.ref.neg(), x),
  ),
  Sign: unary((x = 0) => Math.sign(x), np.sign),
  Sqrt: unary((x = 0) => Math.sqrt(x), np.sqrt),
  Reciprocal: unary((x = 0) => 1 / x, np.reciprocal),
  Exp: unary((x = 0) => Math.exp(x), np.exp),
  Log: unary((x = 0) => Math.log(x), np.log),
  Sin: unary((x = 0) => Math.sin(x), np.sin),
  Cos: unary((x = 0) => Math.cos(x), np.cos),
  Erf: unary(
    (x = 0) => erfOf(x),
    (x) => lax.erf(x) as JaxArray,
  ),
  Floor: unary((x = 0) => Math.floor(x), np.floor),
  Ceil: unary((x = 0) => Math.ceil(x), np.ceil),
  Round: unary(
    (x = 0) => roundToEven(x),
    () => {
      throw new RangeError("it is supported for constants alone");
    },
  ),
  Min: variadic(Math.min, (a, b) => np.minimum(a, b)),
  Max: variadic(Math.max, (a, b) => np.maximum(a, b)),
  Sum: {
    ...variadic(
      (a, b) => a + b,
      (a, b) => a.add(b),
    ),
    weights: "all",
  },
  Mean: {
    ...operator((node) => {
      const values = node.allInputs();
      const [first = values[0], ...rest] = values.map(shared);
      if (!first) throw new RangeError("it has no operand");
      const sum = rest.reduce<Value>(
        (total, value) =>
          elementwise(
            [total, value],
            "float32",
            (a = 0, b = 0) => a + b,
            (a, b) => (a as JaxArray).add(b as JaxArray),
          ),
        first,
      );
      return elementwise(
        [sum],
        "float32",
        (x = 0) => x / values.length,
        (x) => (x as JaxArray).mul(1 / values.length),
      );
    }),
  },
  Clip: {
    versions: [
      { since: 1, rule: clipByAttributes },
      { since: 11, rule: clipByOperands },
    ],
  },
} satisfies Record<string, Operator>;
