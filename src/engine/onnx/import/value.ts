/** A value of a running graph: known already, or an array of the program that is traced. */
import { numpy as np } from "@jax-js/jax";
import type { JaxArray } from "../../trace.js";
import type { ElementType } from "./element-type.js";
import { type StaticTensor, staticTensor } from "./static.js";

/** An array of the traced program. int64 is computed as int32. */
export interface TracedValue {
  readonly kind: "traced";
  readonly type: ElementType;
  /** Whoever holds the value owns one reference. */
  readonly array: JaxArray;
}

export type Value = StaticTensor | TracedValue;

const INT32 = { min: -(2 ** 31), max: 2 ** 31 - 1 };

export function traced(type: ElementType, array: JaxArray): TracedValue {
  return { kind: "traced", type, array };
}

export function shapeOfValue(value: Value): readonly number[] {
  return value.kind === "static" ? value.shape : value.array.shape;
}

/**
 * The value as an array, owned by the caller.
 * @throws RangeError for a constant without elements, or one whose numbers int32 does not hold
 */
export function arrayOf(value: Value): JaxArray {
  if (value.kind === "traced") return value.array.ref;
  const { type, data, shape } = value;
  if (data.length === 0) throw new RangeError(`a tensor of shape [${shape}] has no elements`);
  switch (type) {
    case "float32":
    case "float64":
      return np.array(Float32Array.from(data), { shape: [...shape] });
    case "int64":
    case "int32":
      if (data.some((one) => one < INT32.min || one > INT32.max)) {
        throw new RangeError("a whole number does not fit into 32 bits");
      }
      return np.array(Int32Array.from(data), { shape: [...shape], dtype: np.int32 });
    case "bool":
      return np.array(Int32Array.from(data), { shape: [...shape], dtype: np.int32 }).astype(np.bool);
    default:
      return type satisfies never;
  }
}

/** The same value for another holder. */
export function shared(value: Value): Value {
  return value.kind === "static" ? value : { ...value, array: value.array.ref };
}

export function disposeValue(value: Value): void {
  if (value.kind === "traced") value.array.dispose();
}

/** A float32 scalar. */
export function scalarValue(value: number): StaticTensor {
  return staticTensor("float32", [], [value]);
}
