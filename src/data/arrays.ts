/** A dataset from arrays in memory: the way in for library users' own data, and where every reader ends. */
import { KasminaError } from "../base/errors.js";
import { maxOf } from "../base/statistics.js";
import type { ColumnEncoding, Dataset, Rows } from "../contracts/dataset.js";
import { checkedRows, type RowsInput, takeRows } from "./rows.js";
import { stratifiedSplit } from "./split.js";

/** Of the training rows, the part that is held out for gates and policy where the caller brings none. */
const HELD_OUT_FRACTION = 0.1;
/** More would cost time in every evaluation and hardly sharpen a measurement. */
const HELD_OUT_LIMIT = 5_000;
/** Of the training rows, the part that is kept for the test where the caller brings none. */
const TEST_FRACTION = 0.2;

/**
 * Arrays of one's own.
 *
 * @example
 * ```ts
 * import type { DatasetArrays } from "kasmina";
 *
 * const rows = { inputs: [[0, 0], [0, 1], [1, 0], [1, 1]], labels: [0, 1, 1, 0] };
 * const xor: DatasetArrays = { inputShape: [2], classes: 2, name: "xor", train: rows, heldOut: rows, test: rows };
 * ```
 */
export interface DatasetArrays {
  /** In reports and errors. Default `arrays`. */
  readonly name?: string;
  /** Shape of one row, without the batch: [28, 28, 1], or [2]. Default: that of a nested row. */
  readonly inputShape?: readonly number[];
  /** Shape of one row's labels; default []: one label a row. [length] where every position has one. */
  readonly labelShape?: readonly number[];
  /** At least 2; for tokens, the size of their vocabulary. Default: one more than the largest label or token. */
  readonly classes?: number;
  /** What each class number stands for. */
  readonly classNames?: readonly string[];
  /** How the inputs came from the columns of a table, where they did. */
  readonly columns?: readonly ColumnEncoding[];
  /** What the parameters learn from. */
  readonly train: RowsInput;
  /** Default: a tenth of `train`, at most 5,000 rows, which then leave `train`. */
  readonly heldOut?: RowsInput;
  /** For the final report alone. Default: a fifth of `train`, which then leaves it. */
  readonly test?: RowsInput;
  /** Of the splits that `heldOut` and `test` default to; default 0. Not the seed of a run: its data stays the same. */
  readonly splitSeed?: number;
}

/**
 * A dataset from arrays in memory, checked and split.
 *
 * @throws KasminaError `invalid_data` naming the split and the row, for no rows, lengths that do not fit, inputs
 * that are not finite, labels or tokens outside the classes
 *
 * @example
 * ```ts
 * import { datasetFromArrays } from "kasmina";
 *
 * const rows = { inputs: [[0, 0], [0, 1], [1, 0], [1, 1]], labels: [0, 1, 1, 0] };
 * const xor = datasetFromArrays({ inputShape: [2], classes: 2, name: "xor", train: rows, heldOut: rows, test: rows });
 * ```
 */
export function datasetFromArrays(arrays: DatasetArrays): Dataset {
  const { name = "arrays", labelShape = [], splitSeed = 0 } = arrays;
  const given = [arrays.train, arrays.heldOut, arrays.test].filter((part) => part !== undefined);
  const classes = arrays.classes ?? maxOf(given.map(largestClass)) + 1;
  const inputShape = arrays.inputShape ?? shapeOfRows(arrays.train, name);
  if (!Number.isInteger(classes) || classes < 2) {
    throw new KasminaError("invalid_data", `${name}: needs at least 2 classes, got ${classes}`);
  }
  const rows = (input: RowsInput, split: string): Rows =>
    checkedRows(input, { inputShape, labelShape, classes }, `${name}, ${split}`);
  const all = rows(arrays.train, "train");
  const tested = arrays.test
    ? { rest: all, taken: rows(arrays.test, "test") }
    : takeOut(all, TEST_FRACTION, name, splitSeed);
  const heldOut = arrays.heldOut
    ? { rest: tested.rest, taken: rows(arrays.heldOut, "heldOut") }
    : takeOut(tested.rest, heldOutFraction(tested.rest.count), name, splitSeed);
  return {
    name,
    inputShape,
    inputDType: all.inputs instanceof Int32Array ? "int32" : "float32",
    classes,
    ...(arrays.classNames && { classNames: arrays.classNames }),
    ...(arrays.columns && { columns: arrays.columns }),
    train: heldOut.rest,
    heldOut: heldOut.taken,
    test: tested.taken,
  };
}

function largestClass({ inputs, labels }: RowsInput): number {
  const largest = (values: ArrayLike<number>): number =>
    Array.prototype.reduce.call(values, larger, 0) as number;
  return inputs instanceof Int32Array ? Math.max(largest(inputs), largest(labels)) : largest(labels);
}

function larger(a: unknown, b: unknown): number {
  return Math.max(Number(a), Number(b));
}

function shapeOfRows({ inputs }: RowsInput, name: string): number[] {
  const shape: number[] = [];
  for (let row: unknown = (inputs as ArrayLike<unknown>)[0]; Array.isArray(row); row = row[0])
    shape.push(row.length);
  if (shape.length > 0) return shape;
  throw new KasminaError("invalid_data", `${name}: name the inputShape, or give rows as arrays of their own`);
}

function takeOut(rows: Rows, fraction: number, name: string, seed: number): { rest: Rows; taken: Rows } {
  // Rows of several labels each are of no one class: all are drawn alike.
  const strata = rows.labelShape.length === 0 ? rows.labels : new Int32Array(rows.count);
  const { kept, taken } = stratifiedSplit(strata, fraction, seed);
  if (taken.length === 0) {
    throw new KasminaError("invalid_data", `${name}: ${rows.count} rows are too few to hold some out`);
  }
  return { rest: takeRows(rows, kept), taken: takeRows(rows, taken) };
}

/** How much of so many training rows is held out, by default. */
export function heldOutFraction(rows: number): number {
  return Math.min(HELD_OUT_FRACTION, HELD_OUT_LIMIT / rows);
}
