/**
 * Where everything flows through: the values that every path from the main input to an output passes, dominators of the
 * output. A model can be cut there into blocks, each of which needs nothing but what the one before gives.
 */
import { isFloat } from "./element-type.js";
import type { BatchSize, ImportedModel } from "./imported-model.js";
import { findOperator } from "./operators/index.js";
import type { Model, ModelNode } from "./read-model.js";

/** A value that all data flow through, of floating-point numbers, its batch axis first. */
export interface Cut {
  /** The value's name in the model. */
  readonly name: string;
  /** What computes it. */
  readonly node: ModelNode;
  /** Sizes without the batch axis, in the model's order. */
  readonly shape: readonly number[];
  /** Which axis of the value holds channels, the batch axis counted. */
  readonly channelAxis: number;
  /** Whether it is the sum of two flowing values, as after a residual block. */
  readonly isResidual: boolean;
  /** Whether an operator with weights of its own reads it next. */
  readonly isBeforeWeights: boolean;
}

/** The shape of a value is all that is taken from it: nothing flows. */
const SHAPE_READERS: ReadonlySet<string> = new Set(["Shape", "Size"]);
const SUMS: ReadonlySet<string> = new Set(["Add", "Sum"]);
/** They work on each element, or on axes that they name: channels stay where they are. */
const CHANNELS_SECOND: ReadonlySet<string> = new Set([
  "Conv",
  "ConvTranspose",
  "BatchNormalization",
  "InstanceNormalization",
  "GroupNormalization",
  "MaxPool",
  "AveragePool",
  "GlobalAveragePool",
  "GlobalMaxPool",
]);
const CHANNELS_LAST: ReadonlySet<string> = new Set([
  "MatMul",
  "Gemm",
  "LayerNormalization",
  "RMSNormalization",
  "Attention",
]);
const HEAVY: ReadonlySet<string> = new Set([
  "Conv",
  "ConvTranspose",
  "MatMul",
  "Gemm",
  "Attention",
  "Einsum",
  "RNN",
  "GRU",
  "LSTM",
]);

/** The cuts between the main input and an output, in the order in which data pass them. */
export function findCuts(model: ImportedModel, input: string, output: string): readonly Cut[] {
  const flow = new Flow(model.model.nodes, input, output);
  return flow.dominators().flatMap((node): Cut[] => {
    const [name = ""] = node.outputs;
    const shape = shapeWithoutBatch(model.shapeOf(name));
    if (!shape || shape.length < 1 || shape.length > 3) return [];
    const readers = flow.readersOf(name);
    return [
      {
        name,
        node,
        shape,
        channelAxis: flow.channelAxis(name, shape.length + 1),
        isResidual: SUMS.has(node.op) && node.inputs.filter((operand) => flow.has(operand)).length >= 2,
        isBeforeWeights: readers.some((reader) => HEAVY.has(reader.op)),
      },
    ];
  });
}

/** Sizes behind the batch axis; undefined where the batch is not the first axis, or in another one too. */
function shapeWithoutBatch(sizes: readonly BatchSize[] | undefined): readonly number[] | undefined {
  const [batch, ...rest] = sizes ?? [];
  const isFirst = batch?.factor === 1 && batch.offset === 0 && rest.every(({ factor }) => factor === 0);
  return isFirst ? rest.map(({ offset }) => offset) : undefined;
}

class Flow {
  /** Nodes between input and output, in order. */
  readonly #nodes: readonly ModelNode[];
  readonly #readers = new Map<string, ModelNode[]>();
  readonly #values: ReadonlySet<string>;

  constructor(nodes: readonly ModelNode[], input: string, output: string) {
    const reached = new Set([input]);
    const forward = nodes.filter((node) => {
      if (SHAPE_READERS.has(node.op) || !node.inputs.some((name) => reached.has(name))) return false;
      for (const name of node.outputs) if (name !== "") reached.add(name);
      return true;
    });
    const wanted = new Set([output]);
    const between = [...forward].reverse().filter((node) => {
      if (!node.outputs.some((name) => wanted.has(name))) return false;
      for (const name of node.inputs) if (reached.has(name)) wanted.add(name);
      return true;
    });
    this.#nodes = between.reverse();
    this.#values = new Set([...wanted].filter((name) => reached.has(name)));
    for (const node of this.#nodes) {
      for (const name of new Set(node.inputs)) {
        if (this.#values.has(name)) this.#readers.set(name, [...this.readersOf(name), node]);
      }
    }
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  readersOf(name: string): readonly ModelNode[] {
    return this.#readers.get(name) ?? [];
  }

  /**
   * The nodes whose one result is all that is alive after them. A value that was computed before and is still to be read would
   * be a way round.
   */
  dominators(): readonly ModelNode[] {
    const alive = new Map<string, number>();
    return this.#nodes.filter((node) => {
      for (const name of new Set(node.inputs)) {
        const left = (alive.get(name) ?? 0) - 1;
        if (left > 0) alive.set(name, left);
        else alive.delete(name);
      }
      for (const name of node.outputs) {
        if (this.#values.has(name)) alive.set(name, Math.max(1, this.readersOf(name).length));
      }
      return alive.size === 1 && alive.has(node.outputs[0] ?? "");
    });
  }

  /** Follows a value to the first operator that says which axis its channels are. */
  channelAxis(name: string, rank: number, depth = 0): number {
    const MAX_DEPTH = 12;
    for (const reader of depth < MAX_DEPTH ? this.readersOf(name) : []) {
      if (CHANNELS_SECOND.has(reader.op)) return 1;
      if (CHANNELS_LAST.has(reader.op)) return rank - 1;
      const [result = ""] = reader.outputs;
      const isElementwise = findOperator(reader.op) !== undefined && !MOVERS.has(reader.op);
      if (isElementwise && this.has(result)) return this.channelAxis(result, rank, depth + 1);
    }
    return rank === 4 ? 1 : rank - 1;
  }
}

/** What stands behind them may be another axis. */
const MOVERS: ReadonlySet<string> = new Set([
  "Transpose",
  "Reshape",
  "Flatten",
  "Squeeze",
  "Unsqueeze",
  "ReduceMean",
  "ReduceSum",
  "Gather",
  "Slice",
  "Concat",
  "Split",
]);

/**
 * The cuts that make good slots: behind residual sums; where there are fewer than two of them, before each operator with
 * weights.
 */
export function proposedCuts(cuts: readonly Cut[]): readonly Cut[] {
  const residual = cuts.filter(({ isResidual }) => isResidual);
  return residual.length >= 2 ? residual : cuts.filter(({ isBeforeWeights }) => isBeforeWeights);
}

/** The value before a last Softmax, LogSoftmax or Sigmoid: a loss wants logits. */
export function logitsOf(
  model: ImportedModel,
  output: string,
): { readonly name: string; readonly activation?: string } {
  const node = model.model.nodes.find(({ outputs }) => outputs.includes(output));
  const [operand] = node?.inputs ?? [];
  if (!node || operand === undefined) return { name: output };
  if (node.op === "Identity") return logitsOf(model, operand);
  return ACTIVATIONS.has(node.op) ? { name: operand, activation: node.op } : { name: output };
}

const ACTIVATIONS: ReadonlySet<string> = new Set(["Softmax", "LogSoftmax", "Sigmoid"]);

/** The last linear layer that all data flow through: what it reads, a feature vector an example. */
export function lastLinear(cuts: readonly Cut[], model: ImportedModel): Cut | undefined {
  const place = model.model.nodes.findLast(
    (node) =>
      (node.op === "Gemm" || node.op === "MatMul") && cuts.some(({ name }) => name === node.inputs[0]),
  );
  return cuts.find(({ name, shape }) => name === place?.inputs[0] && shape.length === 1);
}

/** The input that the data flow in by: of images, of measurements, `input_ids`; not a mask or positions. */
export function mainInput({ inputs }: Pick<Model, "inputs">): string {
  const others = inputs.filter(({ name }) => !/mask|token_type|position/i.test(name));
  const main = others.find(({ type }) => isFloat(type)) ?? others[0] ?? inputs[0];
  return main?.name ?? "";
}
