/** Element types of the tensors of a model that is read. */

import { TensorProto_DataType as DataType } from "../gen/onnx_pb.js";
import { invalidModel } from "./wire.js";

/** What values of a running graph can hold. `float64` stands in constants alone, and becomes `float32` where it meets an array. */
export type ElementType = "float32" | "float64" | "int64" | "int32" | "bool";

const TYPES: ReadonlyMap<number, ElementType> = new Map([
  [DataType.FLOAT, "float32"],
  [DataType.DOUBLE, "float64"],
  [DataType.INT64, "int64"],
  [DataType.INT32, "int32"],
  [DataType.BOOL, "bool"],
]);

const HALVES: ReadonlySet<number> = new Set([DataType.FLOAT16, DataType.BFLOAT16]);

/** @throws KasminaError `invalid_data` for a type that no value can hold, naming `what` has it */
export function elementTypeOf(dataType: number, what: string): ElementType {
  const type = TYPES.get(dataType);
  if (type) return type;
  const name = DataType[dataType]?.toLowerCase() ?? `type ${dataType}`;
  const advice = HALVES.has(dataType)
    ? "convert the model to float32 before (PyTorch: model.float() before torch.onnx.export)"
    : `known are ${[...TYPES.values()].join(", ")}`;
  throw invalidModel(`${what} holds ${name}, which is not supported; ${advice}`);
}

export function isFloat(type: ElementType): boolean {
  return type === "float32" || type === "float64";
}
