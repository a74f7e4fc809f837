/**
 * What a model holds besides its nodes: initializers and the tensors of Constant nodes, which some exporters use for weights
 * as well. Each is a weight, which may learn; a statistic, which is kept beside the weights and never learns; or a known value,
 * which is folded.
 */
import { sizeOf } from "../../../contracts/tensor.js";
import { isFloat } from "./element-type.js";
import { findOperator } from "./operators/index.js";
import type { Model, ModelNode } from "./read-model.js";
import {
  type ReadExternal,
  readFloat32,
  readNumbers,
  type StoredTensor,
  storedTensor,
} from "./tensor-proto.js";

/** A tensor of the model that the traced program takes as an input. */
export interface ImportedParameter {
  /** Its own in the model; `<tensor>@<node>` for a vector that other nodes use too. */
  readonly name: string;
  /** The initializer, or the output of the Constant node. */
  readonly tensor: StoredTensor;
  readonly shape: readonly number[];
  /** Running statistics never learn. */
  readonly role: "weight" | "statistic";
  /** Where it is used: the node's place and the operand's. */
  readonly uses: readonly Use[];
}

export interface Use {
  readonly node: ModelNode;
  readonly operand: number;
}

export interface Constants {
  readonly parameters: readonly ImportedParameter[];
  /** Folded, by name of the value. */
  readonly known: ReadonlyMap<string, StoredTensor>;
}

/** They pass on what they are given: a weight behind them is one as well. */
const TRANSPARENT: ReadonlySet<string> = new Set([
  "Identity",
  "Transpose",
  "Reshape",
  "Squeeze",
  "Unsqueeze",
  "Flatten",
  "Cast",
  "Expand",
  "Slice",
  "Split",
  "Concat",
]);

/** An operand of these is a weight where it is a whole tensor and the other one is not known. */
const ARITHMETIC: ReadonlySet<string> = new Set(["Add", "Sub", "Mul", "Div", "Sum"]);

/** A value as low as this among others hides them from a softmax: it is a mask. */
const MASKING = -1e4;

/** Sorts out what each constant tensor is. Masks are read for it; nothing else is. */
export function sortConstants(model: Model, readExternal: ReadExternal): Constants {
  const tensors = new Map([...model.initializers, ...constantNodes(model)]);
  const uses = usesOf(model);
  const parameters: ImportedParameter[] = [];
  const known = new Map<string, StoredTensor>();
  const roles = new Roles(uses, new Set(tensors.keys()));
  for (const [name, tensor] of tensors) {
    const role = isFloat(tensor.type) ? roles.of(name, sizeOf(tensor.shape)) : undefined;
    if (!role || (role === "weight" && isMask(tensor, readExternal))) known.set(name, tensor);
    else for (const one of untied(name, tensor, role, uses.get(name) ?? [])) parameters.push(one);
  }
  return { parameters, known };
}

/** The tensors of Constant nodes, by the name of their output. */
function constantNodes(model: Model): [string, StoredTensor][] {
  return model.nodes.flatMap((node): [string, StoredTensor][] => {
    const proto = node.op === "Constant" ? node.attributes.get("value")?.t : undefined;
    const [name] = node.outputs;
    return proto && name !== undefined ? [[name, storedTensor(proto, name)]] : [];
  });
}

function usesOf(model: Model): Map<string, Use[]> {
  const uses = new Map<string, Use[]>();
  for (const node of model.nodes) {
    for (const [operand, name] of node.inputs.entries()) {
      const list = uses.get(name);
      if (list) list.push({ node, operand });
      else uses.set(name, [{ node, operand }]);
    }
  }
  return uses;
}

type Role = ImportedParameter["role"];

class Roles {
  readonly #uses: ReadonlyMap<string, readonly Use[]>;
  /** Values that are constants, or made of constants alone. */
  readonly #constant: Set<string>;

  constructor(uses: ReadonlyMap<string, readonly Use[]>, constants: ReadonlySet<string>) {
    this.#uses = uses;
    this.#constant = new Set(constants);
  }

  /** What a floating-point value is used as; undefined where it is neither a weight nor a statistic. */
  of(name: string, size: number, seen: ReadonlySet<string> = new Set()): Role | undefined {
    if (seen.has(name)) return undefined;
    const roles = (this.#uses.get(name) ?? []).map((use) =>
      this.#roleIn(use, size, new Set([...seen, name])),
    );
    return roles.includes("statistic") ? "statistic" : roles.find((role) => role === "weight");
  }

  #roleIn({ node, operand }: Use, size: number, seen: ReadonlySet<string>): Role | undefined {
    const operator = findOperator(node.op);
    if (operator?.statistics?.includes(operand)) return "statistic";
    const isPassedOn = TRANSPARENT.has(node.op) && (operand === 0 || node.op === "Concat");
    const isOfConstants = node.inputs.every((input) => this.#isConstant(input));
    if (isPassedOn || (ARITHMETIC.has(node.op) && isOfConstants)) {
      return node.outputs.map((output) => this.of(output, size, seen)).find((role) => role !== undefined);
    }
    if (ARITHMETIC.has(node.op)) return size > 1 ? "weight" : undefined;
    return operator?.weights === "all" || operator?.weights?.includes(operand) ? "weight" : undefined;
  }

  #isConstant(name: string): boolean {
    return name === "" || this.#constant.has(name);
  }
}

function isMask(tensor: StoredTensor, readExternal: ReadExternal): boolean {
  if (tensor.shape.length < 2) return false;
  const values =
    tensor.type === "float32" ? readFloat32(tensor, readExternal) : readNumbers(tensor, readExternal);
  return values.some((value) => !(value > MASKING)) && values.some((value) => value === 0);
}

/**
 * One parameter, or one for each use of a vector: PyTorch's exporter merges initializers of equal values, so that fresh
 * biases, and scales of 1, become one. Matrices that are shared are tied on purpose.
 */
function untied(name: string, tensor: StoredTensor, role: Role, uses: readonly Use[]): ImportedParameter[] {
  const { shape } = tensor;
  if (shape.length > 1 || role === "statistic" || uses.length <= 1)
    return [{ name, tensor, shape, role, uses }];
  return uses.map((use, i) => ({
    name: i === 0 ? name : `${name}@${use.node.name}`,
    tensor,
    shape,
    role,
    uses: [use],
  }));
}
