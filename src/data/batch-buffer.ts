/** The arrays of one batch, and how rows get into them, wherever these lie. */
import type { Random } from "../base/random.js";
import {
  type AnyInputs,
  type AnyRows,
  type Batch,
  type InputArray,
  InputParts,
  type Rows,
} from "../contracts/dataset.js";
import { float32, int32, sizeOf, type Tensor } from "../contracts/tensor.js";
import type { Augmenter } from "./augment.js";

/** One batch's arrays, filled again and again. */
export class BatchBuffer {
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

  /** Copies rows by number to the first places of the batch. */
  copyRows(rows: Int32Array): void {
    const size = this.#inputsPerRow;
    rows.forEach((row, place) => {
      this.copyInputs(this.#parts.between(row * size, (row + 1) * size), 0, place);
      this.copyLabels(row, place);
    });
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
