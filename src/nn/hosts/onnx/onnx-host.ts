/**
 * A host from an ONNX file: cut where all data flow through, each piece is a block, each cut a slot. Seeds see activations
 * with channels last, as in every host; the transposes to the model's own layout stand at the border of each block.
 */
import { numpy as np } from "@jax-js/jax";
import { KasminaError } from "../../../base/index.js";
import { blockModule, parameterPath } from "../../../contracts/index.js";
import {
  type Cut,
  findCuts,
  ImportedModel,
  type ImportedParameter,
  type JaxArray,
  lastLinear,
  logitsOf,
  mainInput,
  proposedCuts,
  type ReadExternal,
  traced,
  type Value,
} from "../../../engine/index.js";
import {
  type Block,
  defineBlock,
  defineHost,
  type Host,
  type HostOrigin,
  type OriginParameter,
  type SharedParameter,
} from "../../host.js";
import { linear } from "../../layers.js";
import { lecunNormal, type ParameterSpec, type Parameters, zeros } from "../../parameters.js";
import { type ImageOptions, inputAdapter, sideInput } from "./model-input.js";

export const HEAD_CHOICES = ["auto", "keep", "new"] as const;
export const TRAIN_CHOICES = ["seeds", "head", "all"] as const;

export interface OnnxHostOptions {
  /** Default `onnx`. */
  readonly id?: string;
  /** `new` puts a fresh linear layer behind the last features; `keep` takes the model's; `auto` keeps it where its outputs are the data's classes. Default `auto`. */
  readonly head?: (typeof HEAD_CHOICES)[number];
  /** What of the file learns besides seeds and a new head: nothing, a kept head, every weight. Default `seeds`. */
  readonly train?: (typeof TRAIN_CHOICES)[number];
  /** Slots by id or by name of the tensor in the file. Default: behind residual sums, or else before each layer. */
  readonly slots?: readonly string[];
  readonly image?: ImageOptions;
  readonly readExternal?: ReadExternal;
}

/** What the host is to do. */
export interface OnnxTask {
  readonly inputShape: readonly number[];
  readonly inputDType?: Host["inputDType"];
  readonly classes: number;
}

/** A piece of the model between two values, as one block. */
interface Piece {
  readonly name: string;
  /** The value it begins with; undefined: the example. */
  readonly from: Cut | undefined;
  readonly to: Pick<Cut, "name" | "shape" | "channelAxis">;
  readonly slot: boolean;
  readonly trains: boolean;
}

/**
 * @throws KasminaError `invalid_data` for a file that cannot be read, `invalid_argument` where the data do not fit it, each
 * in one line
 */
export function onnxHost(bytes: Uint8Array, task: OnnxTask, options: OnnxHostOptions = {}): Host {
  const { id = "onnx", head = "auto", train = "seeds" } = options;
  const inputDType = task.inputDType ?? "float32";
  const model = readModel(bytes, task, options);
  const input = mainInput(model.model);
  checkDType(model, input, inputDType);
  const logits = logitsOf(model, model.model.outputs[0]?.name ?? "");
  const cuts = findCuts(model, input, logits.name);
  const outputShape = (model.shapeOf(logits.name) ?? []).slice(1).map(({ offset }) => offset);
  const keeps = keepsHead(head, outputShape.at(-1), task.classes);
  const inner = cuts.filter(({ name }) => name !== logits.name);
  const features = lastLinear(inner, model) ?? inner.at(-1);
  if (!features)
    throw new KasminaError("invalid_data", "no tensor of the model is one that all data flow through");
  const pieces = piecesOf(inner, {
    chosen: options.slots,
    features,
    keeps,
    train,
    logits: logits.name,
    outputShape,
  });
  const blocks = new BlockMaker(
    model,
    input,
    inputAdapter(infoOf(model, input), task.inputShape, options.image),
  );
  const body = pieces.map((piece) => blocks.block(piece));
  const all = keeps ? body : [...body, newHead(features, task.classes)];
  const ends = pieces.map(({ name, to }): [string, { value: string; channelAxis: number }] => [
    name,
    { value: to.name, channelAxis: to.channelAxis },
  ]);
  const origin: HostOrigin = {
    bytes,
    opset: model.model.opset,
    slots: new Map(ends),
    parameters: blocks.origins(),
    ...(!keeps && {
      head: { slot: pieces.at(-1)?.name ?? "", block: "head", output: model.model.outputs[0]?.name ?? "" },
    }),
  };
  return defineHost({
    id,
    inputShape: task.inputShape,
    inputDType,
    classes: task.classes,
    blocks: all,
    origin,
  });
}

/** @throws KasminaError `invalid_argument` where the model takes tokens and the data are measurements, or the other way round */
function checkDType(model: ImportedModel, input: string, inputDType: Host["inputDType"]): void {
  const main = model.inputs.find(({ name }) => name === input);
  if (main?.dtype === inputDType) return;
  const [wants, gets] = inputDType === "int32" ? ["measurements", "tokens"] : ["tokens", "measurements"];
  throw new KasminaError(
    "invalid_argument",
    `input ${input} of the model takes ${wants}, but the data holds ${gets}`,
  );
}

/** @throws KasminaError `invalid_argument` where it is to be kept and does not fit */
function keepsHead(
  head: (typeof HEAD_CHOICES)[number],
  outputs: number | undefined,
  classes: number,
): boolean {
  if (head === "new" || (head === "auto" && outputs !== classes)) return false;
  if (outputs === classes) return true;
  throw new KasminaError(
    "invalid_argument",
    `the model's head gives ${outputs} outputs, but the data has ${classes} classes; a new head fits (--head new)`,
  );
}

function readModel(
  bytes: Uint8Array,
  task: OnnxTask,
  { image, readExternal }: OnnxHostOptions,
): ImportedModel {
  return new ImportedModel(bytes, {
    shapeOf: (info) => {
      const isSide = /mask|token_type|position|segment/i.test(info.name);
      return isSide ? sideShape(info.shape, task) : inputAdapter(info, task.inputShape, image).shape;
    },
    ...(readExternal ? { readExternal } : {}),
  });
}

/** A mask is as long as the sequence, where the file leaves it free. */
function sideShape(shape: readonly (number | string)[], { inputShape }: OnnxTask): readonly number[] {
  return shape.slice(1).map((size) => (typeof size === "number" ? size : (inputShape[0] ?? 1)));
}

function infoOf(model: ImportedModel, input: string) {
  const info = model.model.inputs.find(({ name }) => name === input);
  if (!info) throw new KasminaError("invalid_data", `the model has no input ${input}`);
  return info;
}

interface Plan {
  readonly chosen: readonly string[] | undefined;
  readonly features: Cut;
  readonly keeps: boolean;
  readonly train: (typeof TRAIN_CHOICES)[number];
  readonly logits: string;
  readonly outputShape: readonly number[];
}

/** The model cut at its slots and at the features that a head reads. */
function piecesOf(
  cuts: readonly Cut[],
  { chosen, features, keeps, train, logits, outputShape }: Plan,
): Piece[] {
  const before = cuts.slice(0, cuts.indexOf(features) + 1);
  const slots = new Set(chosen ? chosen.map((name) => chosenCut(before, name)) : proposedCuts(before));
  const ends = before.filter((cut) => slots.has(cut) || cut === features);
  const names = blockNames(ends.map(({ name }) => name));
  const pieces = ends.map(
    (to, i): Piece => ({
      name: names[i] ?? `block${i}`,
      from: ends[i - 1],
      to,
      slot: slots.has(to),
      trains: train === "all",
    }),
  );
  if (!keeps) return pieces;
  const to = { name: logits, shape: outputShape, channelAxis: outputShape.length };
  return [...pieces, { name: "head", from: features, to, slot: false, trains: train !== "seeds" }];
}

function chosenCut(cuts: readonly Cut[], wanted: string): Cut {
  const ids = blockNames(cuts.map(({ name }) => name));
  const found = cuts.find(({ name }, i) => name === wanted || ids[i] === wanted);
  if (found) return found;
  throw new KasminaError(
    "invalid_argument",
    `the model has no slot ${wanted}; kasmina inspect --host lists what can be one, such as ${proposedCuts(
      cuts,
    )
      .map(({ name }) => name)
      .slice(0, 3)
      .join(", ")}`,
  );
}

const NAME_LENGTH = 60;

/** Names of tensors as names of blocks, each once. `head` and `grown` have a meaning of their own. */
export function blockNames(names: readonly string[]): string[] {
  const taken = new Set(["head", "grown"]);
  return names.map((name) => {
    const safe =
      name
        .replace(/[^A-Za-z0-9_-]+/g, "_")
        .replace(/^_+|_+$/g, "")
        .slice(-NAME_LENGTH) || "slot";
    let unique = safe;
    for (let i = 2; taken.has(unique); i++) unique = `${safe}-${i}`;
    taken.add(unique);
    return unique;
  });
}

/** A fresh linear layer on the features, averaged over all axes but the channels: [batch, …, channels] → [batch, classes]. */
function newHead({ shape, channelAxis }: Cut, classes: number): Block {
  const width = shape[channelAxis - 1] ?? 1;
  return defineBlock({
    name: "head",
    parameters: {
      w: { shape: [classes, width], init: lecunNormal },
      b: { shape: [classes], init: zeros },
    },
    outputShape: [classes],
    apply: ({ w, b }, h) => {
      const axes = Array.from({ length: h.ndim - 2 }, (_, i) => i + 1);
      return linear(axes.length === 0 ? h : h.mean(axes), w, b);
    },
  });
}

/** Makes blocks of a model in order; a parameter belongs to the first block that uses it. */
class BlockMaker {
  readonly #model: ImportedModel;
  readonly #input: string;
  readonly #adapter: ReturnType<typeof inputAdapter>;
  readonly #owners = new Map<ImportedParameter, SharedParameter>();
  readonly #names = new Map<ImportedParameter, string>();

  constructor(model: ImportedModel, input: string, adapter: ReturnType<typeof inputAdapter>) {
    this.#model = model;
    this.#input = input;
    this.#adapter = adapter;
    const names = parameterNames(model.parameters.map(({ name }) => name));
    for (const [i, parameter] of model.parameters.entries())
      this.#names.set(parameter, names[i] ?? parameter.name);
  }

  block({ name, from, to, slot, trains }: Piece): Block {
    const model = this.#model;
    const nodes = model.nodesFor([to.name], from ? [from.name] : []);
    const used = new Set(
      nodes.flatMap((node) => node.inputs.flatMap((_, i) => model.parameterAt(node, i) ?? [])),
    );
    const parameters: Record<string, ParameterSpec> = {};
    const shared: Record<string, SharedParameter> = {};
    for (const parameter of used) {
      const own = this.#nameOf(parameter);
      const owner = this.#owners.get(parameter);
      if (owner) shared[own] = owner;
      else {
        this.#owners.set(parameter, { block: name, name: own });
        parameters[own] = {
          shape: parameter.shape,
          init: () => model.read(parameter),
          trainable: trains && parameter.role === "weight",
          title: parameter.name,
        };
      }
    }
    const apply = (arrays: Parameters, x: JaxArray): JaxArray => {
      const [batch = 1] = x.shape;
      const [source, value] = from
        ? [from.name, fromChannelsLast(x, from)]
        : [this.#input, this.#adapter.apply(x)];
      const isTokens = from === undefined && this.#isTokens();
      const sources = new Map<string, Value>([
        ...this.#sideInputs(batch),
        [source, traced(isTokens ? "int64" : "float32", value)],
      ]);
      const [result] = model.run(
        nodes,
        [to.name],
        sources,
        (parameter) => arrayOf(arrays, this.#nameOf(parameter)),
        batch,
      );
      for (const array of [value, ...Object.values(arrays)]) array.dispose();
      if (result?.kind !== "traced")
        throw new KasminaError("invalid_data", `${to.name} does not depend on the data`);
      return toChannelsLast(result.array, to);
    };
    return { name, title: to.name, parameters, shared, outputShape: shapeLast(to), slot, apply };
  }

  /** Where the parameters of the blocks made so far stand in the file, by state path. */
  origins(): ReadonlyMap<string, OriginParameter> {
    const tensors = this.#model.parameters.map(({ tensor }) => tensor.name);
    return new Map(
      [...this.#owners].map(([parameter, { block, name }]): [string, OriginParameter] => [
        parameterPath(blockModule(block), name),
        {
          tensor: parameter.tensor.name,
          uses: parameter.uses.map(({ node, operand }) => ({ node: node.place, operand })),
          isTied: tensors.indexOf(parameter.tensor.name) !== tensors.lastIndexOf(parameter.tensor.name),
          read: () => this.#model.read(parameter),
        },
      ]),
    );
  }

  #isTokens(): boolean {
    return this.#model.inputs.find(({ name }) => name === this.#input)?.dtype === "int32";
  }

  #nameOf(parameter: ImportedParameter): string {
    return this.#names.get(parameter) ?? parameter.name;
  }

  #sideInputs(batch: number): [string, Value][] {
    return this.#model.inputs
      .filter(({ name }) => name !== this.#input)
      .map(({ name, type, shape }) => [name, sideInput(name, type, shape, batch)]);
  }
}

/** Names of tensors as names of parameters: a slash would be another level of a state path. */
function parameterNames(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    const safe = name.replaceAll("/", ".").replace(/^\.+/, "") || "weight";
    let unique = safe;
    for (let i = 2; taken.has(unique); i++) unique = `${safe}-${i}`;
    taken.add(unique);
    return unique;
  });
}

function arrayOf(arrays: Parameters, name: string): JaxArray {
  const array = arrays[name];
  if (!array) throw new KasminaError("illegal_state", `no parameter ${name}`);
  return array.ref;
}

/** Without the batch axis, channels last. */
function shapeLast({ shape, channelAxis }: Pick<Cut, "shape" | "channelAxis">): readonly number[] {
  return [...shape.toSpliced(channelAxis - 1, 1), shape[channelAxis - 1] ?? 1];
}

function toChannelsLast(x: JaxArray, { channelAxis }: Pick<Cut, "channelAxis">): JaxArray {
  return channelAxis === x.ndim - 1 ? x : np.moveaxis(x, channelAxis, -1);
}

function fromChannelsLast(x: JaxArray, { channelAxis }: Pick<Cut, "channelAxis">): JaxArray {
  return channelAxis === x.ndim - 1 ? x : np.moveaxis(x, -1, channelAxis);
}
