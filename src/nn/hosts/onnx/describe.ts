/** What is in an ONNX file, for people who want to grow it. */
import { KasminaError } from "../../../base/index.js";
import { sizeOf } from "../../../contracts/index.js";
import {
  findCuts,
  ImportedModel,
  logitsOf,
  mainInput,
  proposedCuts,
  type ReadExternal,
  readModel,
  refusedNodes,
  type TensorInfo,
} from "../../../engine/index.js";
import { blockNames } from "./onnx-host.js";

export interface DescribedTensor {
  readonly name: string;
  readonly type: string;
  /** A name for a size that is free. */
  readonly shape: readonly (number | string)[];
}

export interface DescribedSlot {
  readonly id: string;
  /** The tensor's name in the file, and the node behind which it stands. */
  readonly tensor: string;
  readonly node: string;
  readonly operator: string;
  /** As seeds see it: channels last, without the batch axis. */
  readonly shape: readonly number[];
  /** Whether it is a slot where nothing else is asked for. */
  readonly proposed: boolean;
}

export interface OnnxDescription {
  readonly opset: number;
  readonly producer: string;
  readonly nodes: number;
  readonly inputs: readonly DescribedTensor[];
  readonly outputs: readonly DescribedTensor[];
  /** Scalars that can learn, and those that never do. */
  readonly weights: number;
  readonly statistics: number;
  readonly parameters: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly learns: boolean;
  }[];
  readonly slots: readonly DescribedSlot[];
  /** Why it cannot be a host, one line a node; empty where it can. */
  readonly refused: readonly string[];
}

interface DescribeOptions {
  readonly inputShape?: readonly number[];
  readonly readExternal?: ReadExternal;
}

/** @throws KasminaError `invalid_data` where the file is no model */
export function describeOnnx(
  bytes: Uint8Array,
  { inputShape, readExternal }: DescribeOptions,
): OnnxDescription {
  const model = readModel(bytes);
  const described = {
    opset: model.opset,
    producer: model.producer,
    nodes: model.nodes.length,
    inputs: model.inputs.map(describeTensor),
    outputs: model.outputs.map(describeTensor),
  };
  const refused = refusedNodes(model).map(({ message }) => message);
  const nothing = { weights: 0, statistics: 0, parameters: [], slots: [] };
  if (refused.length > 0) return { ...described, ...nothing, refused };
  try {
    const isMain = ({ name }: TensorInfo): boolean => name === mainInput(model);
    const imported = new ImportedModel(bytes, {
      shapeOf: (info) => (isMain(info) ? inputShape : undefined),
      ...(readExternal ? { readExternal } : {}),
    });
    return { ...described, ...describeParts(imported), refused };
  } catch (error) {
    return { ...described, ...nothing, refused: [KasminaError.from(error).message] };
  }
}

function describeTensor({ name, type, shape }: TensorInfo): DescribedTensor {
  return { name, type, shape };
}

function describeParts(model: ImportedModel) {
  const count = (role: string): number =>
    model.parameters.filter((one) => one.role === role).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const logits = logitsOf(model, model.model.outputs[0]?.name ?? "").name;
  const cuts = findCuts(model, mainInput(model.model), logits).filter(({ name }) => name !== logits);
  const proposed = new Set(proposedCuts(cuts));
  const ids = blockNames(cuts.map(({ name }) => name));
  return {
    weights: count("weight"),
    statistics: count("statistic"),
    parameters: model.parameters.map(({ name, shape, role }) => ({ name, shape, learns: role === "weight" })),
    slots: cuts.map(
      (cut, i): DescribedSlot => ({
        id: ids[i] ?? cut.name,
        tensor: cut.name,
        node: cut.node.name,
        operator: cut.node.op,
        shape: [...cut.shape.toSpliced(cut.channelAxis - 1, 1), cut.shape[cut.channelAxis - 1] ?? 1],
        proposed: proposed.has(cut),
      }),
    ),
  };
}
