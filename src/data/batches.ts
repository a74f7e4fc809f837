/** Batches for training, shuffled and addressed by step, and for evaluation, in order and padded. */
import { KasminaError } from "../base/errors.js";
import { Random } from "../base/random.js";
import {
  type AnyDataset,
  type AnyInputs,
  type AnyRows,
  type Batch,
  type BatchSource,
  type EvaluationBatch,
  type EvaluationSource,
  type InputArray,
  InputParts,
  isStored,
  type RowQueue,
  type Rows,
} from "../contracts/dataset.js";
import { float32, int32, sizeOf, type Tensor } from "../contracts/tensor.js";
import { type Augmentation, Augmenter } from "./augment.js";

/** One batch's arrays, filled again and again. */
class BatchBuffer {
  readonly batch: Batch;
  readonly #rows: AnyRows;
  readonly #parts: InputParts;
  readonly #inputs: Float32Array | Int32Array;
  readonly #labels: Rows["labels"];
  readonly #weights: Float32Array | undefined;
  readonly #inputsPerRow: number;
  readonly #labelsPerRow: number;

  constructor(rows: AnyRows, size: number, inputShape: readonly number[]) {
    this.#rows = rows;
    this.#inputsPerRow = sizeOf(inputShape);
    this.#labelsPerRow = sizeOf(rows.labelShape);
    const labels = tensorLike(rows.labels, [size, ...rows.labelShape]);
    this.#labels = labels.data as Rows["labels"];
    const shape = [size, ...inputShape];
    const inputs = tensorLike(rows.inputs, shape);
    this.#inputs = inputs.data as Float32Array | Int32Array;
    this.#parts = new InputParts(rows.inputs, inputs.data.length);
    const weights = rows.weights && float32([size]);
    this.#weights = weights?.data as Float32Array | undefined;
    this.batch = { inputs, labels, ...(weights && { weights }) };
  }

  /** Copies row `from` of some inputs to place `to` of the batch. The innermost loop of all input: no branch in it. */
  copyInputs(source: InputArray, from: number, to: number): void {
    const { scale } = this.#rows;
    const target = this.#inputs;
    const size = this.#inputsPerRow;
    const sourceStart = from * size;
    const targetStart = to * size;
    for (let i = 0; i < size; i++) target[targetStart + i] = (source[sourceStart + i] as number) * scale;
  }

  /** Copies the labels of row `from`, and how much it counts, to place `to` of the batch. */
  copyLabels(from: number, to: number): void {
    const { labels, weights } = this.#rows;
    const count = this.#labelsPerRow;
    for (let i = 0; i < count; i++) this.#labels[to * count + i] = labels[from * count + i] as number;
    if (this.#weights) this.#weights[to] = weights?.[from] ?? 1;
  }

  /** Copies `count` rows from `start` on to the first places of the batch. */
  copyRange(start: number, count: number): void {
    const size = this.#inputsPerRow;
    const source = this.#parts.between(start * size, (start + count) * size);
    for (let i = 0; i < count; i++) {
      this.copyInputs(source, i, i);
      this.copyLabels(start + i, i);
    }
  }

  /** Changes the image at a place of the batch. */
  augment(augmenter: Augmenter, place: number, random: Random): void {
    const size = this.#inputsPerRow;
    const image = this.#inputs.subarray(place * size, (place + 1) * size);
    if (image instanceof Float32Array) augmenter.apply(image, random);
  }

  /** Zeroes the places from `from` on. */
  clear(from: number): void {
    this.#inputs.fill(0, from * this.#inputsPerRow);
    this.#labels.fill(0, from * this.#labelsPerRow);
  }
}

/** Zeros: int32 for what is, else float32. */
function tensorLike(values: AnyInputs | Rows["labels"], shape: readonly number[]): Tensor {
  return values instanceof Int32Array ? int32(shape, new Int32Array(sizeOf(shape))) : float32(shape);
}

/** Which rows the batch of a step has: a function of seed and epoch alone. */
class RowOrder {
  readonly #seed: number;
  readonly #batch: number;
  readonly #stepsPerEpoch: number;
  /** Of all rows in the present epoch: 4 bytes a row. */
  readonly #order: Int32Array;
  #epoch = -1;

  constructor(rows: number, { seed, batch }: Pick<BatchOptions, "seed" | "batch">) {
    this.#seed = seed;
    this.#batch = batch;
    this.#stepsPerEpoch = Math.floor(rows / batch);
    this.#order = new Int32Array(rows);
  }

  /** Row numbers; a view that the next epoch overwrites. */
  rowsOf(step: number): Int32Array {
    this.#enterEpoch(Math.floor(step / this.#stepsPerEpoch));
    const start = (step % this.#stepsPerEpoch) * this.#batch;
    return this.#order.subarray(start, start + this.#batch);
  }

  #enterEpoch(epoch: number): void {
    if (epoch === this.#epoch) return;
    for (let i = 0; i < this.#order.length; i++) this.#order[i] = i;
    Random.forLabel(this.#seed, `epoch/${epoch}`).shuffle(this.#order);
    this.#epoch = epoch;
  }
}

/** The inputs of batches that lie in a file: those of the steps to come are asked for before. */
class BatchesAhead {
  readonly #queue: RowQueue;
  readonly #order: RowOrder;
  /** Rows of the batches that were asked for, the next one first. */
  readonly #asked: Int32Array[] = [];
  #next = -1;

  constructor(queue: RowQueue, order: RowOrder) {
    this.#queue = queue;
    this.#order = order;
  }

  /**
   * Hands over the inputs of a step's batch, row after row, and its row numbers.
   * @param use is done with them when it returns
   */
  take(step: number, use: (inputs: Float32Array, rows: Int32Array) => void): void {
    if (step !== this.#next) {
      this.#queue.clear();
      this.#asked.length = 0;
    }
    this.#askFrom(step);
    use(this.#queue.take(), this.#asked.shift() ?? new Int32Array());
    this.#next = step + 1;
    this.#askFrom(this.#next);
  }

  /** So that as many are on their way as may be, the one of `step` first. */
  #askFrom(step: number): void {
    while (this.#asked.length < this.#queue.depth) {
      // A copy: asking may enter the next epoch before these are taken.
      const rows = this.#order.rowsOf(step + this.#asked.length).slice();
      this.#queue.ask(rows);
      this.#asked.push(rows);
    }
  }
}

export interface BatchOptions {
  /** Rows a step, 1 .. the rows there are. */
  readonly batch: number;
  /** Decides the order, together with the epoch. */
  readonly seed: number;
  /** Of images [height, width, channels]; how each is changed follows from seed, epoch and row alone. Default: none. */
  readonly augment?: readonly Augmentation[] | undefined;
}

/**
 * Shuffled batches over the training rows of a dataset. The order is a function of seed and epoch alone, so
 * {@link at} may start anywhere. Rows that do not fill a last batch are left out of their epoch; another order
 * brings them in the next one.
 *
 * @throws KasminaError `invalid_argument` for a batch that is not 1 .. the number of rows
 */
export class ShuffledBatches implements BatchSource {
  readonly batch: number;
  readonly stepsPerEpoch: number;
  /** Left out where images are augmented. */
  readonly rows?: number;
  readonly #seed: number;
  readonly #buffer: BatchBuffer;
  /** Which rows are in the buffer. */
  readonly #numbers: Int32Array;
  readonly #batch: Batch;
  readonly #order: RowOrder;
  readonly #inputs: InputArray | BatchesAhead;
  readonly #augmenter: Augmenter | undefined;

  constructor(dataset: Pick<AnyDataset, "name" | "inputShape" | "train">, options: BatchOptions) {
    const rows = dataset.train;
    checkBatch(options.batch);
    if (options.batch > rows.count) {
      throw new KasminaError(
        "invalid_argument",
        `batch ${options.batch} is larger than the ${rows.count} training rows of ${dataset.name}`,
      );
    }
    this.batch = options.batch;
    this.stepsPerEpoch = Math.floor(rows.count / options.batch);
    this.#seed = options.seed;
    this.#buffer = new BatchBuffer(rows, options.batch, dataset.inputShape);
    this.#order = new RowOrder(rows.count, options);
    this.#inputs = isStored(rows.inputs)
      ? new BatchesAhead(rows.inputs.readAhead(options.batch), this.#order)
      : rows.inputs;
    this.#augmenter = options.augment && new Augmenter(dataset.inputShape, options.augment);
    this.#numbers = new Int32Array(options.batch);
    this.#batch = this.#augmenter ? this.#buffer.batch : { ...this.#buffer.batch, rows: this.#numbers };
    if (!this.#augmenter) this.rows = rows.count;
  }

  at(step: number): Batch {
    if (!Number.isInteger(step) || step < 0) throw new RangeError(`step must be 0 or more, got ${step}`);
    const inputs = this.#inputs;
    if (inputs instanceof BatchesAhead)
      inputs.take(step, (values, rows) => this.#fill(step, rows, values, (place) => place));
    else this.#fill(step, this.#order.rowsOf(step), inputs, (_, row) => row);
    return this.#batch;
  }

  /** @param placeOf where in `inputs` a row stands */
  #fill(
    step: number,
    rows: Int32Array,
    inputs: InputArray,
    placeOf: (place: number, row: number) => number,
  ): void {
    const epoch = Math.floor(step / this.stepsPerEpoch);
    this.#numbers.set(rows);
    rows.forEach((row, place) => {
      this.#buffer.copyInputs(inputs, placeOf(place, row), place);
      this.#buffer.copyLabels(row, place);
      if (!this.#augmenter) return;
      const random = Random.forLabel(this.#seed, `augment/${epoch}/${row}`);
      this.#buffer.augment(this.#augmenter, place, random);
    });
  }
}

/** All rows in order; the last batch is padded with zeros of weight 0. One pass at a time: all fill the same arrays. */
export class OrderedBatches implements EvaluationSource {
  readonly batch: number;
  readonly count: number;
  readonly #rows: AnyRows;
  readonly #buffer: BatchBuffer;
  readonly #weights: Tensor;

  constructor(rows: AnyRows, inputShape: readonly number[], batch: number) {
    checkBatch(batch);
    this.batch = batch;
    this.count = rows.count;
    this.#rows = rows;
    this.#buffer = new BatchBuffer(rows, batch, inputShape);
    this.#weights = float32([batch]);
  }

  *batches(): Generator<EvaluationBatch> {
    for (let start = 0; start < this.count; start += this.batch) {
      const count = Math.min(this.batch, this.count - start);
      this.#buffer.copyRange(start, count);
      this.#buffer.clear(count);
      const { weights } = this.#rows;
      if (weights) this.#weights.data.set(weights.subarray(start, start + count));
      else this.#weights.data.fill(1, 0, count);
      this.#weights.data.fill(0, count);
      yield { ...this.#buffer.batch, weights: this.#weights, count };
    }
  }
}

function checkBatch(batch: number): void {
  if (!Number.isInteger(batch) || batch < 1) {
    throw new KasminaError("invalid_argument", `batch must be a whole number of 1 or more, got ${batch}`);
  }
}
