/**
 * The version of the ONNX operator set that a model is written in: the older of two, where it has all operators.
 *
 * ONNX Runtime 1.30 looks for an operator's code in a list of all versions and types, writes a description of each one
 * that does not fit, and looks several times: a session takes 9 µs to make for each Add or Mul of version 12, 20 µs of
 * version 14; 7 instead of 10 ms for the step of a growing perceptron. What runs is the same code, to the last bit
 * (`operator-set.test.ts`).
 *
 * https://onnx.ai/onnx/operators/ says in which version each operator came, and when it changed.
 */
import type { GraphNode } from "./graph.js";
import { wholeNumbers } from "./onnx-type.js";

/** An operator set, and the version of the file format that came with it. */
export interface OperatorSet {
  readonly version: number;
  readonly irVersion: bigint;
}

export const OLDER: OperatorSet = { version: 12, irVersion: 7n };
/** The first with BitCast, and the newest that ONNX Runtime 1.30 knows. */
export const NEWER: OperatorSet = { version: 26, irVersion: 10n };

/** The older set has them not at all, or not for what they are used for here. */
const NEWER_ONLY: ReadonlySet<string> = new Set([
  "BitCast",
  "BitwiseAnd",
  "BitwiseOr",
  "BitwiseXor",
  "ScatterND",
]);

/** What the newer set takes as a second operand, and the older one as an attribute. */
const ATTRIBUTE_OF: ReadonlyMap<string, string> = new Map([
  ["ReduceSum", "axes"],
  ["ReduceMean", "axes"],
  ["ReduceSumSquare", "axes"],
  ["ReduceProd", "axes"],
  ["ReduceMax", "axes"],
  ["ReduceMin", "axes"],
  ["Split", "split"],
]);

/** The oldest set in which a graph can be written. */
export function operatorSetOf(nodes: readonly GraphNode[]): OperatorSet {
  return nodes.every((node) => !NEWER_ONLY.has(node.op) && hasOldTypes(node)) ? OLDER : NEWER;
}

/** Types came in late: Pad was for floating point alone, reductions not for bool, and much not for uint32. */
function hasOldTypes({ op, inputs, outputs }: GraphNode): boolean {
  const { dtype = "float32" } = inputs[0] ?? {};
  if (op === "Pad" && dtype !== "float32") return false;
  if (op.startsWith("Reduce") && dtype === "bool") return false;
  return [...inputs, ...outputs].every((value) => value.dtype !== "uint32");
}

/** A node, which is given in its newer form, as a set has it. */
export function formIn(set: OperatorSet, node: GraphNode): GraphNode {
  const name = ATTRIBUTE_OF.get(node.op);
  const [operand, list] = node.inputs;
  if (set !== OLDER || name === undefined || !operand || !list) return node;
  if (!list.constant) throw new RangeError(`${node.op} needs constant ${name}`);
  return {
    ...node,
    inputs: [operand],
    attributes: { ...node.attributes, [name]: wholeNumbers(list.constant) },
  };
}
