/** A dataset from arrays in memory: the way in for library users' own data, and where every reader ends. */
import { KasminaError } from "../base/errors.js";
import type { ColumnScaling, Dataset, Rows } from "../contracts/dataset.js";
import { checkedRows, type RowsInput, takeRows } from "./rows.js";
import { type Split, stratifiedSplit } from "./split.js";

/** Of the training rows, the part that is held out for gates and policy where the caller brings none. */
const HELD_OUT_FRACTION = 0.1;
/** More would cost time in every evaluation and hardly sharpen a measurement. */
const HELD_OUT_LIMIT = 5_000;

export interface DatasetArrays {
  readonly name: string;
  /** Shape of one row, without the batch: [28, 28, 1], or [2]. */
  readonly inputShape: readonly number[];
  /** Shape of one row's labels; default []: one label a row. [length] where every position has one. */
  readonly labelShape?: readonly number[];
  /** At least 2; for tokens, the size of their vocabulary. */
  readonly classes: number;
  readonly classNames?: readonly string[];
  /** How the inputs came from the columns of a table, where they did. */
  readonly columns?: readonly ColumnScaling[];
  readonly train: RowsInput;
  /** Default: a tenth of `train`, at most 5,000 rows, which then leave `train`. */
  readonly heldOut?: RowsInput;
  readonly test: RowsInput;
  /** Of the split that `heldOut` defaults to; default 0. Not the seed of a run: its data stays the same. */
  readonly splitSeed?: number;
}

/**
 * @throws KasminaError `invalid_data` naming the split and the row, for no rows, lengths that do not fit, inputs
 * that are not finite, labels or tokens outside the classes
 */
export function datasetFromArrays(arrays: DatasetArrays): Dataset {
  const { name, inputShape, labelShape = [], classes } = arrays;
  if (!Number.isInteger(classes) || classes < 2) {
    throw new KasminaError("invalid_data", `${name}: needs at least 2 classes, got ${classes}`);
  }
  const rows = (input: RowsInput, split: string): Rows =>
    checkedRows(input, { inputShape, labelShape, classes }, `${name}, ${split}`);
  const train = rows(arrays.train, "train");
  const test = rows(arrays.test, "test");
  const parts = arrays.heldOut
    ? { train, heldOut: rows(arrays.heldOut, "heldOut") }
    : holdOut(train, name, arrays.splitSeed ?? 0);
  const names = {
    ...(arrays.classNames && { classNames: arrays.classNames }),
    ...(arrays.columns && { columns: arrays.columns }),
  };
  const inputDType = train.inputs instanceof Int32Array ? "int32" : "float32";
  return { name, inputShape, inputDType, classes, ...names, ...parts, test };
}

function holdOut(train: Rows, name: string, seed: number): { train: Rows; heldOut: Rows } {
  // Rows of several labels each are of no one class: all are drawn alike.
  const strata = train.labelShape.length === 0 ? train.labels : new Int32Array(train.count);
  const { kept, taken } = heldOutSplit(strata, name, seed);
  return { train: takeRows(train, kept), heldOut: takeRows(train, taken) };
}

/**
 * Which of the training rows are held out, by default.
 *
 * @param classes of each row
 * @throws KasminaError `invalid_data` for too few rows
 */
export function heldOutSplit(classes: Int32Array, name: string, seed: number): Split {
  const fraction = Math.min(HELD_OUT_FRACTION, HELD_OUT_LIMIT / classes.length);
  const split = stratifiedSplit(classes, fraction, seed);
  if (split.taken.length > 0) return split;
  throw new KasminaError("invalid_data", `${name}: ${classes.length} rows are too few to hold some out`);
}
