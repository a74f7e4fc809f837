/** Batches for training, shuffled and addressed by step, and for evaluation, in order and padded. */
import { KasminaError } from "../base/errors.js";
import { Random } from "../base/random.js";
import type {
  Batch,
  BatchSource,
  Dataset,
  EvaluationBatch,
  EvaluationSource,
  Rows,
} from "../contracts/dataset.js";
import { float32, int32, sizeOf, type Tensor } from "../contracts/tensor.js";
import { type Augmentation, Augmenter } from "./augment.js";

/** One batch's arrays, filled again and again. */
class BatchBuffer {
  readonly batch: Batch;
  readonly #rows: Rows;
  readonly #inputs: Float32Array | Int32Array;
  readonly #labels: Rows["labels"];
  readonly #inputsPerRow: number;
  readonly #labelsPerRow: number;

  constructor(rows: Rows, size: number, inputShape: readonly number[]) {
    this.#rows = rows;
    this.#inputsPerRow = sizeOf(inputShape);
    this.#labelsPerRow = sizeOf(rows.labelShape);
    const labels = tensorLike(rows.labels, [size, ...rows.labelShape]);
    this.#labels = labels.data as Rows["labels"];
    const shape = [size, ...inputShape];
    const inputs = tensorLike(rows.inputs, shape);
    this.#inputs = inputs.data as Float32Array | Int32Array;
    this.batch = { inputs, labels };
  }

  /** Copies row `from` to place `to` of the batch. The innermost loop of all input: no branch in it. */
  copyRow(from: number, to: number): void {
    const { inputs: source, scale, labels } = this.#rows;
    const target = this.#inputs;
    const size = this.#inputsPerRow;
    const sourceStart = from * size;
    const targetStart = to * size;
    for (let i = 0; i < size; i++) target[targetStart + i] = (source[sourceStart + i] as number) * scale;
    const count = this.#labelsPerRow;
    for (let i = 0; i < count; i++) this.#labels[to * count + i] = labels[from * count + i] as number;
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
function tensorLike(values: Rows["inputs"] | Rows["labels"], shape: readonly number[]): Tensor {
  return values instanceof Int32Array ? int32(shape, new Int32Array(sizeOf(shape))) : float32(shape);
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
  readonly #seed: number;
  readonly #buffer: BatchBuffer;
  readonly #order: Int32Array;
  readonly #augmenter: Augmenter | undefined;
  #epoch = -1;

  constructor(dataset: Pick<Dataset, "name" | "inputShape" | "train">, options: BatchOptions) {
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
    this.#order = new Int32Array(rows.count);
    this.#augmenter = options.augment && new Augmenter(dataset.inputShape, options.augment);
  }

  at(step: number): Batch {
    if (!Number.isInteger(step) || step < 0) throw new RangeError(`step must be 0 or more, got ${step}`);
    this.#enterEpoch(Math.floor(step / this.stepsPerEpoch));
    const start = (step % this.stepsPerEpoch) * this.batch;
    for (let i = 0; i < this.batch; i++) {
      const row = this.#order[start + i] ?? 0;
      this.#buffer.copyRow(row, i);
      if (!this.#augmenter) continue;
      const random = Random.forLabel(this.#seed, `augment/${this.#epoch}/${row}`);
      this.#buffer.augment(this.#augmenter, i, random);
    }
    return this.#buffer.batch;
  }

  #enterEpoch(epoch: number): void {
    if (epoch === this.#epoch) return;
    for (let i = 0; i < this.#order.length; i++) this.#order[i] = i;
    Random.forLabel(this.#seed, `epoch/${epoch}`).shuffle(this.#order);
    this.#epoch = epoch;
  }
}

/** All rows in order; the last batch is padded with zeros of weight 0. One pass at a time: all fill the same arrays. */
export class OrderedBatches implements EvaluationSource {
  readonly batch: number;
  readonly count: number;
  readonly #buffer: BatchBuffer;
  readonly #weights: Tensor;

  constructor(rows: Rows, inputShape: readonly number[], batch: number) {
    checkBatch(batch);
    this.batch = batch;
    this.count = rows.count;
    this.#buffer = new BatchBuffer(rows, batch, inputShape);
    this.#weights = float32([batch]);
  }

  *batches(): Generator<EvaluationBatch> {
    for (let start = 0; start < this.count; start += this.batch) {
      const count = Math.min(this.batch, this.count - start);
      for (let i = 0; i < count; i++) this.#buffer.copyRow(start + i, i);
      this.#buffer.clear(count);
      this.#weights.data.fill(1, 0, count).fill(0, count);
      yield { ...this.#buffer.batch, weights: this.#weights, count };
    }
  }
}

function checkBatch(batch: number): void {
  if (!Number.isInteger(batch) || batch < 1) {
    throw new KasminaError("invalid_argument", `batch must be a whole number of 1 or more, got ${batch}`);
  }
}
