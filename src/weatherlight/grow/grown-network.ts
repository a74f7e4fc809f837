/** The network that a run has grown: to predict with, as an ONNX model, or its weights as safetensors. */
import { KasminaError, Random } from "../../base/index.js";
import type { AnyInputs, AnyRows, Rows, TargetScaling, TaskId } from "../../contracts/index.js";
import {
  encodeSafetensors,
  InputParts,
  isStored,
  nonFinitePaths,
  sizeOf,
  type Tensor,
  type Tensors,
} from "../../contracts/index.js";
import { flatNumbers, type NestedNumbers } from "../../data/rows.js";
import { type Backend, trace } from "../../engine/index.js";
import { exportOnnx } from "../../engine/onnx/export-onnx.js";
import { type RawFormat, rawModel } from "../../engine/onnx/raw-model.js";
import {
  chooseThreshold,
  type Evaluation,
  evaluationOf,
  forwardProgram,
  grownOnnx,
  isBlended,
  parameterSpecs,
  type ThresholdAim,
  type Topology,
  taskFor,
} from "../../network/index.js";
import { type BlueprintRegistry, type Host, labelShape } from "../../nn/index.js";
import { blendControls, topologyOf } from "../../tolaria/index.js";
import {
  characterCodec,
  drawnToken,
  type GenerateOptions,
  parsedGenerateOptions,
  type TextCodec,
  TextStream,
  tokenizerCodec,
} from "./generate.js";
import { networkIn, type RunCheckpoint } from "./run-outcome.js";

/** Rows of a batch that is predicted at once. */
const PREDICTION_BATCH = 256;

/**
 * What the network says of each row.
 *
 * @example
 * ```ts
 * import type { Predictions } from "kasmina";
 *
 * const nameOf = ({ labels, classNames }: Predictions, row: number) => classNames?.[labels[row] ?? 0];
 * ```
 */
export interface Predictions {
  /**
   * The likeliest class of each row, or of each position where the network tells a class at each: [rows, ...positions]. Of several
   * labels 1 for each whose probability is above a half, else 0: [rows, classes]. Of a regression empty.
   */
  readonly labels: Int32Array;
  /** By class, after the softmax, or by label, after the sigmoid: [rows, ...positions, classes]. Of a regression empty. */
  readonly probabilities: Float32Array;
  /** Of a regression, in the targets' own units: [rows, targets]. */
  readonly values?: Float64Array;
  /** Classes, labels, or numbers that are predicted. */
  readonly classes: number;
  /** What each class number stands for, where the data said so. */
  readonly classNames?: readonly string[];
}

/** Row after row, or nested; bytes are scaled by 1/255, an Int32Array holds tokens. */
export type RowsToPredict = Float32Array | Uint8Array | Int32Array | NestedNumbers;

/** What a network needs of the world around it. */
export interface NetworkServices {
  /** An engine to predict on, which the network disposes of when `owned`. */
  readonly openEngine: () => Promise<{ readonly backend: Backend; readonly owned: boolean }>;
  readonly writeFile: (path: string, bytes: Uint8Array) => Promise<void>;
}

export interface GrownNetworkParts {
  readonly host: Host;
  readonly blueprints: BlueprintRegistry;
  readonly checkpoint: RunCheckpoint;
  readonly runId: string;
  /** Of the checkpoint's file, where it came from one. */
  readonly checkpointSha256?: string;
  /** Digest of what the run went on from, where it did. */
  readonly parent?: string;
  /** What it is of, and what its outputs stand for. Default: a class of each row, or of each position. */
  readonly task?: TaskId | undefined;
  readonly classNames?: readonly string[];
  readonly targets?: readonly TargetScaling[] | undefined;
  /** Of a text of tokens: the text of its `tokenizer.json`. */
  readonly tokenizer?: string | undefined;
  /** Of two classes: the probability from which the second is said. Default: the likelier one is. */
  readonly threshold?: number | undefined;
  /** How raw rows become inputs, for the metadata of an export. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** The same for an export that takes raw rows. Default: inputs as they are. */
  readonly reading?: Pick<RawFormat, "columns" | "inputScale">;
  readonly services: NetworkServices;
}

/**
 * What a run has grown: host and blended seeds, to predict with and to export.
 *
 * @example
 * ```ts
 * import { grow } from "kasmina";
 *
 * const { network } = await grow({ data: "spirals" });
 * const { labels, probabilities } = await network.predict([[0.1, -0.2]]);
 * await network.toOnnx("grown.onnx");
 * ```
 */
export class GrownNetwork {
  /** Host and blended seeds. */
  readonly topology: Topology;
  /** Host and blended seeds, by path: `host/<block>/<name>`, `seed/<id>/<name>`. */
  readonly parameters: Tensors;
  /** How much of each seed is in the output, by control. */
  readonly blendWeights: Tensors;
  /**
   * Where it comes from: `training_run_id`, `step`, `host`, `seeds` (JSON), `checkpoint_sha256` where it was read from disk, `parent` (the
   * digest of what the run went on from); and
   * how raw rows become inputs: `data_sha256`, `input_scale`, `classes`, `class_names` and `columns` (JSON), `tokenizer` (the text of its `tokenizer.json`), `label_column`; of two classes `threshold`, where it is not a half; of another
   * task than a classification `task`, and of a regression `targets` (JSON): a prediction is output · deviation + mean.
   */
  readonly metadata: Readonly<Record<string, string>>;
  readonly task: TaskId;
  readonly classNames: readonly string[] | undefined;
  /** Of a text of tokens: the text of its `tokenizer.json`. */
  readonly tokenizer: string | undefined;
  /** Of a regression: what is predicted, and how outputs become it. */
  readonly targets: readonly TargetScaling[] | undefined;
  /** Of two classes: the probability from which the second is said; undefined where the likelier one is. */
  readonly threshold: number | undefined;
  readonly #reading: Pick<RawFormat, "columns" | "inputScale">;
  readonly #services: NetworkServices;

  /** @throws KasminaError `corrupt` where the checkpoint lacks a parameter */
  constructor({ host, blueprints, checkpoint, runId, checkpointSha256, parent, ...more }: GrownNetworkParts) {
    const { kasmina, tensors, step } = networkIn(checkpoint);
    const { seeds } = kasmina;
    const all = topologyOf({ host, blueprints, hostGradient: "detach" }, seeds);
    const sites = all.sites.filter(isBlended);
    this.topology = { ...all, sites };
    this.parameters = pick(tensors, Object.keys(parameterSpecs(this.topology)));
    this.blendWeights = blendControls(this.topology, seeds, step).tensors;
    this.metadata = {
      training_run_id: runId,
      ...(checkpointSha256 !== undefined && { checkpoint_sha256: checkpointSha256 }),
      ...(parent !== undefined && { parent }),
      step: String(step),
      host: host.id,
      seeds: JSON.stringify(
        seeds
          .filter(({ id }) => sites.some(({ seedId }) => seedId === id))
          .map(({ id, blueprintId, slotId, stage }) => ({
            id,
            blueprint: blueprintId,
            slot: slotId,
            stage,
          })),
      ),
      ...more.metadata,
      ...(more.threshold !== undefined && { threshold: String(more.threshold) }),
    };
    this.threshold = more.threshold;
    this.task = more.task ?? (labelShape(host).length === 0 ? "classification" : "next-token");
    this.classNames = more.classNames;
    this.targets = more.targets;
    this.tokenizer = more.tokenizer;
    this.#reading = more.reading ?? { inputScale: 1 };
    this.#services = more.services;
  }

  /**
   * What the network says of rows that it has not seen. Opens an engine, and closes it again: give many rows at once.
   *
   * @param rows row after row, or nested; bytes are scaled by 1/255, an Int32Array holds tokens
   * @throws KasminaError `invalid_argument` for rows of another shape, or a value that is not finite; `loss_not_finite` where an
   * output is not
   * @example
   * const { labels } = await run.network.predict([[0.5, -0.5], [0.5, 0.5]]);
   */
  async predict(rows: RowsToPredict): Promise<Predictions> {
    const { classNames, classes, targets, task, threshold } = this;
    const parts: Float32Array[] = [];
    for await (const outputs of this.outputs(rows)) parts.push(outputs);
    const answers = taskFor(task).answers(joined(parts), { classes, targets, threshold });
    return { ...answers, classes, ...(classNames && { classNames }) };
  }

  /**
   * The outputs for rows, before any softmax, some rows at a time: [rows, ...positions, classes].
   *
   * @throws KasminaError as {@link predict} does, but for outputs that are not finite
   */
  async *outputs(rows: RowsToPredict): AsyncGenerator<Float32Array> {
    const inputs = this.#checked(rows);
    const { backend, owned } = await this.#services.openEngine();
    try {
      yield* this.#outputsOn(backend, inputs, inputs instanceof Uint8Array ? 1 / 255 : 1);
    } finally {
      if (owned) await backend.dispose();
    }
  }

  /** How good it is on labelled rows. @param backend an engine that is open already */
  evaluate(
    { inputs, scale, labels, count, weights, textBytes }: AnyRows,
    backend: Backend,
  ): Promise<Evaluation> {
    const outputs = this.#outputsOn(backend, isStored(inputs) ? inputs : this.#checked(inputs), scale);
    const { task, classes, classNames, targets, threshold } = this;
    const format = { classes, classNames, targets, threshold, textBytes };
    return evaluationOf(outputs, { task, labels, rows: count, weights, ...format });
  }

  /** The threshold that is best on labelled rows. @param backend an engine that is open already */
  async thresholdOn(
    { inputs, scale, labels, weights }: AnyRows,
    aim: ThresholdAim,
    backend: Backend,
  ): Promise<number> {
    const parts: Float32Array[] = [];
    const rows = isStored(inputs) ? inputs : this.#checked(inputs);
    for await (const outputs of this.#outputsOn(backend, rows, scale)) parts.push(outputs);
    return chooseThreshold(joined(parts), labels, aim, weights);
  }

  async *#outputsOn(backend: Backend, inputs: AnyInputs, scale: number): AsyncGenerator<Float32Array> {
    const { host } = this.topology;
    const rowSize = sizeOf(host.inputShape);
    const count = inputs.length / rowSize;
    const batch = Math.min(count, PREDICTION_BATCH);
    const perRow = this.labelsPerRow * host.classes;
    const parts = new InputParts(inputs, batch * rowSize);
    const pass = await this.#openPass(backend, batch);
    try {
      for (let from = 0; from < count; from += batch) {
        const rows = parts.between(from * rowSize, (from + batch) * rowSize);
        const logits = await pass.run(rows, scale);
        yield logits.slice(0, Math.min(batch, count - from) * perRow);
      }
    } finally {
      pass.close();
    }
  }

  /** The forward pass of a batch, compiled, with the network's parameters in the engine. */
  async #openPass(backend: Backend, batch: number) {
    const { topology, parameters, blendWeights } = this;
    const program = await backend.compile(trace(forwardProgram(topology, batch)));
    const state = backend.createState();
    state.write({ ...parameters, ...blendWeights });
    return {
      /** @param inputs those of a batch, or of fewer rows */
      run: async (inputs: Rows["inputs"], scale: number): Promise<Float32Array> => {
        const input = batchOf(inputs, { batch, host: topology.host, scale });
        const { logits } = await program.run(state, { input }, {});
        return logits?.data as Float32Array;
      },
      close: (): void => {
        program.dispose();
        state.dispose();
      },
    };
  }

  /**
   * Goes on with a text, one token at a time, by drawing from what the network says comes next: gives the text of each as soon as it is
   * whole characters.
   *
   * @throws KasminaError `invalid_argument` for options out of range, a network that did not learn from a text, a prompt that is empty or
   * has characters that were not in it; `unavailable` where the tokenizer needs a package
   */
  async *generate(prompt: string, options: GenerateOptions = {}): AsyncGenerator<string> {
    const { length, temperature, topK, seed } = parsedGenerateOptions(options);
    const { host } = this.topology;
    const codec = await this.#codec();
    const tokens = codec.encode(prompt);
    const stream = new TextStream(codec, tokens);
    const random = new Random(seed);
    const [window = 0] = host.inputShape;
    const { backend, owned } = await this.#services.openEngine();
    try {
      const pass = await this.#openPass(backend, 1);
      try {
        for (let count = 0; count < length; count++) {
          // What stands behind the last token says nothing of it: a position sees those before it alone.
          const seen = Int32Array.from(tokens.slice(-window));
          const logits = await pass.run(seen, 1);
          const at = (seen.length - 1) * host.classes;
          const outputs = logits.slice(at, at + host.classes);
          const token = drawnToken(outputs, { temperature, topK, range: codec.drawn }, random);
          tokens.push(token);
          const text = stream.add(token);
          if (text !== "") yield text;
        }
      } finally {
        pass.close();
      }
    } finally {
      if (owned) await backend.dispose();
    }
  }

  async #codec(): Promise<TextCodec> {
    const { host } = this.topology;
    if (host.inputDType === "int32" && host.inputShape.length === 1) {
      if (this.tokenizer !== undefined) return tokenizerCodec(this.tokenizer);
      if (this.classNames) return characterCodec(this.classNames);
    }
    throw new KasminaError(
      "invalid_argument",
      `host ${host.id} did not learn from a text: there is nothing to go on with`,
    );
  }

  get inputShape(): readonly number[] {
    return this.topology.host.inputShape;
  }

  get classes(): number {
    return this.topology.host.classes;
  }

  /** 1, or the positions of a sequence. */
  get labelsPerRow(): number {
    return sizeOf(labelShape(this.topology.host));
  }

  /**
   * The forward pass as an ONNX model, for any batch size: `input` [batch, ...] → `logits` [batch, ..., classes].
   *
   * With `preprocessing` it takes raw rows and gives answers. Of a table each column is an input [batch, 1] by its name, of numbers
   * (float64) or texts; of bytes `input` is uint8 [batch, ...]. The outputs are `prediction`, of classes [batch] (their names, or int64
   * numbers), of labels [batch, labels] (bool), of a regression [batch, targets] (float64), and of classes and labels `probabilities`
   * [batch, classes]. A row with a value that the network cannot read has answers that are NaN.
   *
   * @param file where to write it too; Node alone
   * @throws KasminaError `io` where the file cannot be written, `loss_not_finite` for parameters that are not finite,
   * `invalid_argument` for preprocessing that ONNX cannot say
   * @example
   * await network.toOnnx("grown.onnx", { preprocessing: true });
   */
  async toOnnx(
    file?: string,
    { preprocessing = false }: { readonly preprocessing?: boolean } = {},
  ): Promise<Uint8Array> {
    const { topology, parameters, blendWeights, metadata } = this;
    requireFinite(parameters);
    const tensors = { ...parameters, ...blendWeights };
    const plain = topology.host.origin
      ? grownOnnx(topology, tensors, metadata)
      : exportOnnx({
          name: `forward pass of ${topology.host.id}`,
          definition: (batch) => forwardProgram(topology, batch),
          parameters: tensors,
          metadata,
        });
    const bytes = preprocessing ? this.#raw(plain) : plain;
    if (file !== undefined) await this.#services.writeFile(file, bytes);
    return bytes;
  }

  #raw(bytes: Uint8Array): Uint8Array {
    const { task, classes, classNames, targets, threshold } = this;
    const { id, origin } = this.topology.host;
    if (origin && !this.#reading.columns)
      throw new KasminaError(
        "invalid_argument",
        `host ${id} takes what its own file takes: what stands before it is not ours to put into it`,
      );
    return rawModel(bytes, { task, classes, classNames, targets, threshold, ...this.#reading });
  }

  /**
   * Parameters and blend weights, without optimizer state.
   *
   * @param file where to write them too; Node alone
   * @throws KasminaError `io` where the file cannot be written, `loss_not_finite` for parameters that are not finite
   */
  async toSafetensors(file?: string): Promise<Uint8Array> {
    const { parameters, blendWeights, metadata } = this;
    requireFinite(parameters);
    const bytes = encodeSafetensors({ ...parameters, ...blendWeights }, metadata);
    if (file !== undefined) await this.#services.writeFile(file, bytes);
    return bytes;
  }

  /** Row after row. */
  #checked(rows: RowsToPredict): Rows["inputs"] {
    const { id, inputDType, inputShape, classes } = this.topology.host;
    const flat = ArrayBuffer.isView(rows) ? rows : flatNumbers(rows);
    const wrong = (what: string): KasminaError =>
      new KasminaError("invalid_argument", `rows for host ${id}: ${what}`);
    if (flat.length === 0 || flat.length % sizeOf(inputShape) !== 0)
      throw wrong(`${flat.length} values are no rows of shape [${inputShape.join(", ")}]`);
    const bad = flat.findIndex((value: number) =>
      inputDType === "int32"
        ? !Number.isInteger(value) || value < 0 || value >= classes
        : !Number.isFinite(value),
    );
    if (bad >= 0) throw wrong(`value ${bad} is ${flat[bad]}`);
    if (ArrayBuffer.isView(flat)) return flat;
    return inputDType === "int32" ? Int32Array.from(flat) : Float32Array.from(flat);
  }
}

interface BatchShape {
  readonly batch: number;
  readonly host: Host;
  readonly scale: number;
}

/** A whole batch of the type that the host takes, what is missing filled with zeros. */
function batchOf(data: Rows["inputs"], { batch, host, scale }: BatchShape): Tensor {
  const { inputShape, inputDType } = host;
  const shape = [batch, ...inputShape];
  const size = sizeOf(shape);
  const whole = inputDType === "int32" ? new Int32Array(size) : new Float32Array(size);
  for (let i = 0; i < data.length; i++) whole[i] = (data[i] ?? 0) * scale;
  return { shape, dtype: inputDType, data: whole } as Tensor;
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Nobody can use a network of NaN, and nobody would notice later. */
function requireFinite(parameters: Tensors): void {
  const [first] = nonFinitePaths(parameters);
  if (first !== undefined)
    throw new KasminaError(
      "loss_not_finite",
      `the network is wrecked: ${first} holds values that are not finite`,
    );
}

function pick(tensors: Tensors, paths: readonly string[]): Tensors {
  const entries = paths.map((path) => {
    const tensor = tensors[path];
    if (!tensor) throw new KasminaError("corrupt", `the checkpoint has no ${path}`);
    return [path, tensor] as const;
  });
  return Object.fromEntries(entries);
}
