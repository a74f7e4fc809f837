/** How an operator of ONNX is carried out: known values in JavaScript, all others as arrays of the traced program. */
import type { NodeContext } from "../node-context.js";
import type { Value } from "../value.js";

/** The node's outputs, owned by the caller. Throws a RangeError that says what of the node is not supported. */
export type OperatorRule = (node: NodeContext) => Value | readonly Value[];

/** One operator, with a rule for each operator set that changed what it means. */
export interface Operator {
  /** From which operator set on which rule holds, oldest first. */
  readonly versions: readonly { readonly since: number; readonly rule: OperatorRule }[];
  /** Operands that hold weights, by place; `all` where each may be one. */
  readonly weights?: readonly number[] | "all";
  /** Operands that hold values which never learn: running statistics. */
  readonly statistics?: readonly number[];
  /** What is not supported of it, for people. */
  readonly except?: string;
}

/** An operator whose meaning never changed, or whose rule knows the changes. */
export function operator(rule: OperatorRule, more: Omit<Operator, "versions"> = {}, since = 1): Operator {
  return { versions: [{ since, rule }], ...more };
}

/** Axis sizes without a jump: a negative axis counts from the end. @throws RangeError outside of the rank */
export function axisOf(axis: number, rank: number): number {
  const at = axis < 0 ? axis + rank : axis;
  if (Number.isInteger(at) && at >= 0 && at < Math.max(rank, 1)) return at;
  throw new RangeError(`axis ${axis} of a tensor of ${rank} dimensions`);
}

export function range(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}
