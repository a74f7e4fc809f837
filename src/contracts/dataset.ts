/**
 * Labelled data, as the trainer meets it. The rooms that read files or generate data build these; the trainer
 * needs nothing else, so a library user's own arrays or own batches serve as well.
 */
import type { TargetScaling, TaskId } from "./tasks.js";
import type { Tensor } from "./tensor.js";

/**
 * Labelled rows of one split: measurements with one class, several labels or numbers a row, or sequences of tokens with a label at
 * each position. Owned by the dataset, read by everybody, changed by nobody.
 */
export type Rows = RowsIn<InputArray>;

/** An Int32Array holds tokens, which stay whole numbers. */
export type InputArray = Float32Array | Uint8Array | Int32Array;

/** Inputs that lie in a file, and are read when they are needed: float32, row after row. */
export interface StoredInputs {
  /** Values of all rows. */
  readonly length: number;
  /** Fills `target` with the values from `from` on. @throws KasminaError `io` where they cannot be read */
  read(from: number, target: Float32Array): void;
  /** Reads batches of `rows` rows before they are needed. */
  readAhead(rows: number): RowQueue;
}

/** Rows read in the background, in the order in which they are asked for. */
export interface RowQueue {
  /** How often may be asked before a batch is taken. */
  readonly depth: number;
  /** @param rows of a batch, by number */
  ask(rows: Int32Array): void;
  /**
   * The inputs of the batch that was asked for first, row after row, as soon as they are there; they stay until the next is asked for.
   * @throws KasminaError `io` where they cannot be read
   */
  take(): Float32Array;
  /** Forgets what was asked for. */
  clear(): void;
}

/** Wherever they lie. */
export type AnyInputs = InputArray | StoredInputs;
export type AnyRows = RowsIn<AnyInputs>;
export type AnyDataset = Dataset<AnyInputs>;

export function isStored(inputs: AnyInputs): inputs is StoredInputs {
  return !ArrayBuffer.isView(inputs);
}

export function isInMemory(dataset: AnyDataset): dataset is Dataset {
  return [dataset.train, dataset.heldOut, dataset.test].every(({ inputs }) => !isStored(inputs));
}

/** Goes over inputs part by part, wherever they lie. */
export class InputParts {
  readonly #inputs: AnyInputs;
  /** One for all parts: garbage of their size would be as large as the data. */
  readonly #buffer: Float32Array;

  /** @param values of a part, at most */
  constructor(inputs: AnyInputs, values: number) {
    this.#inputs = inputs;
    this.#buffer = new Float32Array(isStored(inputs) ? values : 0);
  }

  /** The values `from` to `to`, or to the end; overwritten by the next call. */
  between(from: number, to: number): InputArray {
    const inputs = this.#inputs;
    if (!isStored(inputs)) return inputs.subarray(from, to);
    const values = this.#buffer.subarray(0, Math.min(to, inputs.length) - from);
    inputs.read(from, values);
    return values;
  }
}

/** {@link Rows} whose inputs lie in memory, or elsewhere. */
export interface RowsIn<Inputs> {
  /** `count` × the row size values, row after row. */
  readonly inputs: Inputs;
  /** Every input is multiplied by this as it goes into a batch: 1/255 for bytes, else 1. */
  readonly scale: number;
  /**
   * Shape of one row's labels: [] for one class a row, [length] for one at each position of a sequence, [classes] for numbers
   * and for several labels.
   */
  readonly labelShape: readonly number[];
  /**
   * Row after row: class numbers, 0 .. classes − 1, as int32; for a regression the scaled targets, for several labels 1 for each
   * that holds and 0 for every other one, as float32.
   */
  readonly labels: Int32Array | Float32Array;
  readonly count: number;
  /** How much each row counts in what is learned from and judged by; their mean is 1. Left out: all count alike. */
  readonly weights?: Float32Array;
  /** Of a text: how many bytes of UTF-8 its labels stand for, by their share of the part's tokens. */
  readonly textBytes?: number;
}

/** How a column of numbers became an input: (value − mean) / deviation, and 0 where the deviation is 0. */
export interface ColumnScaling {
  readonly name: string;
  /** Over the training rows, in float64. */
  readonly mean: number;
  /** Over the training rows, in float64; 0 for a column that is constant in them. */
  readonly deviation: number;
  /** Whether a missing value is taken for the mean. Default: it is an error. */
  readonly fill?: boolean | undefined;
}

/** How a column of texts became inputs, one a category: 1 for its own, 0 for every other one. */
export interface ColumnCategories {
  readonly name: string;
  /** In the order of the inputs. */
  readonly categories: readonly string[];
  /** Whether a missing value is of no category. Default: it is an error. */
  readonly fill?: boolean | undefined;
}

export type ColumnEncoding = ColumnScaling | ColumnCategories;

/** How images of any size became inputs: scaled to cover a square and cut to its middle; then (byte − mean) / deviation. */
export interface ImageEncoding {
  /** Height and width, in pixels. */
  readonly size: number;
  /** 1: grey, 3: red, green and blue. */
  readonly channels: 1 | 3;
  /** In bytes, of every channel. */
  readonly mean: number;
  /** In bytes, of every channel. */
  readonly deviation: number;
  /** Rows of pixels, pixels, channels. */
  readonly layout: "NHWC";
}

/**
 * Labelled data in three splits, with what is known of its rows.
 *
 * @example
 * ```ts
 * import { type Dataset, datasetFromArrays } from "kasmina";
 *
 * const rows = { inputs: [[0, 0], [0, 1], [1, 0], [1, 1]], labels: [0, 1, 1, 0] };
 * const xor: Dataset = datasetFromArrays({ inputShape: [2], classes: 2, name: "xor", train: rows, heldOut: rows, test: rows });
 * ```
 */
export interface Dataset<Inputs = InputArray> {
  /** As the user named it: `mnist`, `csv:iris.csv?label=species`. */
  readonly name: string;
  /** Shape of one row, without the batch: [28, 28, 1], or [2]. */
  readonly inputShape: readonly number[];
  /** float32 for measurements, int32 for tokens, which are then of the same vocabulary as the classes. */
  readonly inputDType: "float32" | "int32";
  /** Left out: `classification` where a row has one label, `next-token` where each of its positions has one. */
  readonly task?: TaskId;
  /** What a network has outputs for: classes, labels, or the numbers to be predicted. */
  readonly classes: number;
  /** What each class number, or each label, stands for, where the data says so. */
  readonly classNames?: readonly string[];
  /** Of a regression: the numbers to be predicted, in their order, and how they were scaled. */
  readonly targets?: readonly TargetScaling[];
  /** The columns that the inputs come from, in their order, where the data are a table. */
  readonly columns?: readonly ColumnEncoding[];
  /** How the inputs came from images, where they did. */
  readonly images?: ImageEncoding;
  /** The text of the `tokenizer.json` that made tokens of a text; of characters, {@link classNames} are the vocabulary. */
  readonly tokenizer?: string;
  /** What the parameters learn from. */
  readonly train: RowsIn<Inputs>;
  /** A fixed part of the training data that nothing learns from: it serves gates and policy. */
  readonly heldOut: RowsIn<Inputs>;
  /** Only for the final report. */
  readonly test: RowsIn<Inputs>;
}

/** What the data are to be learned for. */
export function taskOf({ task, train }: Pick<AnyDataset, "task" | "train">): TaskId {
  return task ?? (train.labelShape.length === 0 ? "classification" : "next-token");
}

export interface Batch {
  /** float32, or int32 for tokens: [batch, ...inputShape] */
  readonly inputs: Tensor;
  /** [batch, ...labelShape]: int32 class numbers, or float32 */
  readonly labels: Tensor;
  /** float32 [batch]: how much each row counts. Left out: all count alike. */
  readonly weights?: Tensor;
  /** The number of each row, where its {@link BatchSource} has `rows`. */
  readonly rows?: Int32Array;
}

export interface EvaluationBatch extends Batch {
  /** float32 [batch]: how much each row counts, 1 where all do alike, 0 for padding. */
  readonly weights: Tensor;
  /** How many are no padding. */
  readonly count: number;
}

/** Training batches by position, so that a run can go on from any step. */
export interface BatchSource {
  readonly batch: number;
  readonly stepsPerEpoch: number;
  /**
   * How many rows the batches are taken from, where the inputs of a row are the same at every step: each batch says then which rows
   * it has, 0 .. `rows` − 1, and what is computed of a row may be kept. Left out: they are not, or nobody knows.
   */
  readonly rows?: number;
  /**
   * The batch of a step, counted from 0 over all epochs. The same step always gives the same rows. The tensors
   * may be overwritten by the next call.
   */
  at(step: number): Batch;
}

/** Batches that cover every row of a split once, in order. */
export interface EvaluationSource {
  readonly batch: number;
  /** Rows covered. */
  readonly count: number;
  /** The tensors of a batch may be overwritten when the next one is asked for, in this pass or another. */
  batches(): Iterable<EvaluationBatch>;
}
