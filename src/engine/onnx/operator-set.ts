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
import type { GraphNode, Value } from "./graph.js";
import { wholeNumbers } from "./onnx-type.js";

/** An operator set, and the version of the file format that came with it. */
export interface OperatorSet {
  readonly version: number;
  readonly irVersion: bigint;
}

export const OLDER: OperatorSet = { version: 12, irVersion: 7n };
/** The first with BitCast, and the newest that ONNX Runtime 1.30 knows. */
export const NEWER: OperatorSet = { version: 26, irVersion: 10n };

/** ONNX Runtime 1.30's WebGPU provider has hardly an operator in its newest form: a Transpose of version 25 would run on the CPU. */
export const WEBGPU: OperatorSet = { version: 18, irVersion: 8n };

/** The older set has them not at all, or not for what they are used for here. */
const NEWER_ONLY: ReadonlySet<string> = new Set([
  "BitCast",
  "BitwiseAnd",
  "BitwiseOr",
  "BitwiseXor",
  "ScatterND",
]);

/** What a set takes as a second operand from a version on, and as an attribute before. */
const OPERAND_SINCE: ReadonlyMap<string, { readonly name: string; readonly since: number }> = new Map([
  ["ReduceSum", { name: "axes", since: 13 }],
  ["ReduceMean", { name: "axes", since: 18 }],
  ["ReduceSumSquare", { name: "axes", since: 18 }],
  ["ReduceProd", { name: "axes", since: 18 }],
  ["ReduceMax", { name: "axes", since: 18 }],
  ["ReduceMin", { name: "axes", since: 18 }],
  ["Split", { name: "split", since: 13 }],
  ["Pad", { name: "pads", since: 11 }],
]);

/** Slice had attributes, and no steps. */
const SLICE_OPERANDS_SINCE = 10;

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

/**
 * A node, which is given in its newest form, as a set has it.
 * @throws RangeError where the set cannot say it
 */
export function formIn({ version }: OperatorSet, node: GraphNode): GraphNode {
  if (node.op === "Slice" && version < SLICE_OPERANDS_SINCE) return sliceByAttributes(node);
  const form = OPERAND_SINCE.get(node.op);
  const [operand, list] = node.inputs;
  if (!form || version >= form.since || !operand || !list) return node;
  return {
    ...node,
    inputs: [operand],
    attributes: { ...node.attributes, [form.name]: constantOf(node, list, form.name) },
  };
}

function sliceByAttributes(node: GraphNode): GraphNode {
  const [operand, starts, ends, axes, steps] = node.inputs;
  if (!operand || !starts || !ends || !axes) throw new RangeError("Slice needs starts, ends and axes");
  if (steps && constantOf(node, steps, "steps").some((step) => step !== 1)) {
    throw new RangeError(`Slice has steps from operator set ${SLICE_OPERANDS_SINCE} on only`);
  }
  const attributes = {
    starts: constantOf(node, starts, "starts"),
    ends: constantOf(node, ends, "ends"),
    axes: constantOf(node, axes, "axes"),
  };
  return { ...node, inputs: [operand], attributes };
}

function constantOf(node: GraphNode, value: Value, name: string): readonly number[] {
  if (!value.constant) throw new RangeError(`${node.op} needs constant ${name}`);
  return wholeNumbers(value.constant);
}
