/** Carries out nodes of a model, inside a traced function. */

import { type KasminaError, messageOf } from "../../../base/errors.js";
import type { JaxArray } from "../../trace.js";
import { NodeContext } from "./node-context.js";
import { findOperator, ruleIn } from "./operators/index.js";
import type { ModelNode } from "./read-model.js";
import { type StaticTensor, staticTensor } from "./static.js";
import { disposeValue, shapeOfValue, shared, traced, type Value } from "./value.js";
import { invalidModel } from "./wire.js";

/** Their result depends on a shape and nothing else: what has the shape need not be computed. */
const SHAPE_READERS: ReadonlySet<string> = new Set(["Shape", "Size"]);

export interface GraphInputs {
  readonly opset: number;
  /** A known value; undefined for any other name. */
  readonly known: (name: string) => StaticTensor | undefined;
  /** A parameter as an operand of a node, owned by the caller; undefined where the operand is none. */
  readonly parameter: (node: ModelNode, operand: number) => JaxArray | undefined;
  /** What is computed already: the model's inputs and the values that the nodes begin with. Borrowed. */
  readonly sources: ReadonlyMap<string, Value>;
  /** The shape of a value that is not computed here; undefined where it is not known. */
  readonly shapeOf?: (name: string) => readonly number[] | undefined;
  /** Receives every value when it is computed. */
  readonly onValue?: (name: string, value: Value) => void;
}

/** The nodes that `targets` need, in order, where the values of `sources` are given. */
export function neededNodes(
  nodes: readonly ModelNode[],
  targets: readonly string[],
  sources: { has(name: string): boolean },
): readonly ModelNode[] {
  const needed = new Set(targets.filter((name) => !sources.has(name)));
  const kept: ModelNode[] = [];
  for (const node of [...nodes].reverse()) {
    if (!node.outputs.some((name) => needed.has(name))) continue;
    kept.push(node);
    if (SHAPE_READERS.has(node.op)) continue;
    for (const name of node.inputs) if (!sources.has(name)) needed.add(name);
  }
  return kept.reverse();
}

/**
 * The values of `targets`, owned by the caller.
 * @throws KasminaError `invalid_data` naming the node, its operator and what of it is not supported
 */
export function runGraph(
  nodes: readonly ModelNode[],
  targets: readonly string[],
  inputs: GraphInputs,
): Value[] {
  const values = new Map<string, Value>();
  const left = countUses(nodes, targets);
  const find = (name: string): Value | undefined =>
    values.get(name) ?? inputs.sources.get(name) ?? inputs.known(name);
  try {
    for (const node of nodes) {
      const results = runNode(node, inputs, find);
      for (const [i, name] of node.outputs.entries()) {
        const value = results[i];
        if (!value || name === "") continue;
        inputs.onValue?.(name, value);
        values.set(name, value);
      }
      for (const name of new Set(node.inputs)) release(name, 1, left, values);
      for (const name of node.outputs) release(name, 0, left, values);
    }
    return targets.map((name) => {
      const value = find(name);
      if (!value) throw invalidModel(`nothing computes ${name}`);
      return shared(value);
    });
  } finally {
    for (const value of values.values()) disposeValue(value);
  }
}

function countUses(nodes: readonly ModelNode[], targets: readonly string[]): Map<string, number> {
  const uses = new Map<string, number>();
  const names = [...nodes.flatMap((node) => [...new Set(node.inputs)]), ...targets];
  for (const name of names) uses.set(name, (uses.get(name) ?? 0) + 1);
  return uses;
}

/** Lets go of a value after its last use. */
function release(name: string, uses: number, left: Map<string, number>, values: Map<string, Value>): void {
  const rest = (left.get(name) ?? 0) - uses;
  left.set(name, rest);
  const value = values.get(name);
  if (rest > 0 || !value) return;
  disposeValue(value);
  values.delete(name);
}

function runNode(
  node: ModelNode,
  inputs: GraphInputs,
  find: (name: string) => Value | undefined,
): readonly Value[] {
  const rule = ruleOf(node, inputs.opset);
  const own: Value[] = [];
  const operands = node.inputs.map((name, operand) => {
    if (name === "") return undefined;
    const parameter = inputs.parameter(node, operand);
    if (parameter) {
      const value = traced("float32", parameter);
      own.push(value);
      return value;
    }
    return find(name) ?? shapeOnly(node, name, inputs);
  });
  try {
    const context = new NodeContext(node, inputs.opset, operands);
    const result = rule(context);
    const results = Array.isArray(result) ? (result as readonly Value[]) : [result as Value];
    context.checkAllRead();
    const unserved = node.outputs.findIndex((name, i) => name !== "" && !results[i]);
    if (unserved >= 0) throw new RangeError(`its output ${unserved} is not supported`);
    for (const value of results) checkSize(value);
    return results;
  } catch (error) {
    throw refusal(node, inputs.opset, messageOf(error), error);
  } finally {
    for (const value of own) disposeValue(value);
  }
}

/** A value of which the shape alone is known: for {@link SHAPE_READERS}. */
function shapeOnly(node: ModelNode, name: string, { shapeOf, opset }: GraphInputs): Value {
  const shape = SHAPE_READERS.has(node.op) ? shapeOf?.(name) : undefined;
  if (shape) return { ...staticTensor("float32", [], [0]), shape };
  throw refusal(node, opset, `nothing computes its operand ${name}`);
}

/** Elements of one value: a file of a few bytes must not be able to ask for more. */
const MAX_ELEMENTS = 2 ** 30;

function checkSize(value: Value): void {
  const shape = shapeOfValue(value);
  const size = shape.reduce((product, one) => product * one, 1);
  if (size > MAX_ELEMENTS) throw new RangeError(`its result of shape [${shape}] is too large`);
  if (size === 0 && value.kind === "traced")
    throw new RangeError(`its result of shape [${shape}] has no elements`);
}

/** @throws KasminaError `invalid_data` for an operator that is not supported */
export function ruleOf(node: ModelNode, opset: number) {
  const operator = node.domain === "" ? findOperator(node.op) : undefined;
  const rule = operator && ruleIn(operator, opset);
  if (rule) return rule;
  throw refusal(node, opset, adviceFor(node));
}

const CONTROL_FLOW: ReadonlySet<string> = new Set(["If", "Loop", "Scan", "SequenceMap"]);

function adviceFor({ op, domain }: ModelNode): string {
  if (domain !== "")
    return `operators of the domain ${domain} are not supported; export the model with standard operators only`;
  if (CONTROL_FLOW.has(op))
    return "control flow is not supported; export the model traced for one kind of input (torch.jit.trace)";
  if (/Quant|Integer$|^QLinear/.test(op))
    return "quantized operators are not supported; take the model in float32, as it was before it was quantized";
  return "this operator is not supported (docs/onnx-operators.md lists those that are); export the model without it";
}

function refusal(node: ModelNode, opset: number, why: string, cause?: unknown): KasminaError {
  const name = JSON.stringify(node.name);
  return invalidModel(
    `node ${name} (${node.domain === "" ? "" : `${node.domain}.`}${node.op}, operator set ${opset}): ${why}`,
    {
      ...(cause === undefined ? {} : { cause }),
      details: { node: node.name, operator: node.op, opset },
    },
  );
}
