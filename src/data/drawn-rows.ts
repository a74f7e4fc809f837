/** The rows of a split in an order drawn once, so that any piece of it is a sample of the whole. */
import { Random } from "../base/random.js";
import type { AnyRows, EvaluationBatch, EvaluationRows } from "../contracts/dataset.js";
import { float32, type Tensor } from "../contracts/tensor.js";
import { BatchBuffer } from "./batch-buffer.js";
import { checkBatch } from "./batches.js";

/** Which rows stand where follows from the seed alone. Each batch overwrites the one before. */
export class DrawnRows implements EvaluationRows {
  readonly batch: number;
  readonly count: number;
  readonly #order: Int32Array;
  readonly #buffer: BatchBuffer;
  readonly #weighed: Float32Array | undefined;
  readonly #weights: Tensor;

  /** @param inputShape of one row */
  constructor(rows: AnyRows, inputShape: readonly number[], options: { batch: number; seed: number }) {
    const { batch, seed } = options;
    checkBatch(batch);
    this.batch = batch;
    this.count = rows.count;
    const numbers = Int32Array.from({ length: rows.count }, (_, row) => row);
    this.#order = Random.forLabel(seed, "held-out rows").shuffle(numbers);
    this.#buffer = new BatchBuffer(rows, batch, inputShape);
    this.#weighed = rows.weights;
    this.#weights = float32([batch]);
  }

  /** @throws RangeError for a place that is not 0 .. the number of rows − 1 */
  at(from: number): EvaluationBatch {
    if (!Number.isInteger(from) || from < 0 || from >= this.count)
      throw new RangeError(`from must be 0 .. ${this.count - 1}, got ${from}`);
    const rows = this.#order.subarray(from, from + this.batch);
    this.#buffer.copyRows(rows);
    this.#buffer.clear(rows.length);
    this.#weights.data.fill(0, rows.length);
    rows.forEach((row, place) => {
      this.#weights.data[place] = this.#weighed?.[row] ?? 1;
    });
    return { ...this.#buffer.batch, weights: this.#weights, count: rows.length };
  }
}
