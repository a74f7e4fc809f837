/** A dataset from arrays in memory: the way in for library users' own data, and where every reader ends. */
import { KasminaError } from "../base/errors.js";
import { maxOf } from "../base/statistics.js";
import type { ColumnEncoding, Dataset, Rows } from "../contracts/dataset.js";
import type { TargetScaling, TaskId } from "../contracts/tasks.js";
import { sizeOf } from "../contracts/tensor.js";
import { checkedRows, flatNumbers, type RawRows, type RowsInput, takeRows } from "./rows.js";
import { scaledTargets, targetScaling } from "./scaling.js";
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
  /**
   * `regression`: the labels are numbers to be predicted, one or several a row. `multilabel`: a 0 or 1 for each label. Default: they
   * are class numbers, `classification` for one a row and `next-token` for one at each position.
   */
  readonly task?: TaskId;
  /** Shape of one row's class numbers; default []: one a row. [length] where every position has one. */
  readonly labelShape?: readonly number[];
  /**
   * At least 2; for tokens, the size of their vocabulary. Default: one more than the largest label or token; of a regression and of
   * several labels, as many as a row has.
   */
  readonly classes?: number;
  /** What each class number, label or target stands for. */
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
 * that are not finite, labels or tokens outside the classes, a target that is the same in all training rows
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
  const { name = "arrays", splitSeed = 0, task, classNames } = arrays;
  const inputShape = arrays.inputShape ?? shapeOfRows(arrays.train, name);
  const format = { inputShape, task, ...labelFormat(arrays, inputShape, name) };
  const { classes } = format;
  const rows = (input: RowsInput, split: string): RawRows => checkedRows(input, format, `${name}, ${split}`);
  const all = rows(arrays.train, "train");
  const tested = arrays.test
    ? { rest: all, taken: rows(arrays.test, "test") }
    : takeOut(all, TEST_FRACTION, { name, part: "test" }, splitSeed);
  const heldOut = arrays.heldOut
    ? { rest: tested.rest, taken: rows(arrays.heldOut, "heldOut") }
    : takeOut(tested.rest, heldOutFraction(tested.rest.count), { name, part: "heldOut" }, splitSeed);
  const names = classNames ?? Array.from({ length: classes }, (_, i) => String(i));
  const targets = task === "regression" ? scalingsOf(heldOut.rest, names, name) : undefined;
  const scaled = (part: RawRows): Rows => (targets ? withTargets(part, targets) : (part as Rows));
  return {
    name,
    inputShape,
    inputDType: all.inputs instanceof Int32Array ? "int32" : "float32",
    ...(task && { task }),
    classes,
    ...(classNames && !targets && { classNames }),
    ...(targets && { targets }),
    ...(arrays.columns && { columns: arrays.columns }),
    train: scaled(heldOut.rest),
    heldOut: scaled(heldOut.taken),
    test: scaled(tested.taken),
  };
}

/** How many outputs the labels need, and the shape of a row's. */
function labelFormat(
  arrays: DatasetArrays,
  inputShape: readonly number[],
  name: string,
): { readonly classes: number; readonly labelShape: readonly number[] } {
  const { task, labelShape = [], train } = arrays;
  if (task === "regression" || task === "multilabel") {
    const rows = lengthOf(train.inputs) / sizeOf(inputShape);
    const classes = arrays.classes ?? Math.floor(lengthOf(train.labels) / rows);
    if (Number.isInteger(classes) && classes >= 1) return { classes, labelShape: [classes] };
    throw new KasminaError("invalid_data", `${name}: ${rows} rows have ${lengthOf(train.labels)} labels`);
  }
  const given = [train, arrays.heldOut, arrays.test].filter((part) => part !== undefined);
  const classes = arrays.classes ?? Math.ceil(maxOf(given.map(largestClass))) + 1;
  if (Number.isInteger(classes) && classes >= 2) return { classes, labelShape };
  throw new KasminaError("invalid_data", `${name}: needs at least 2 classes, got ${classes}`);
}

function lengthOf(values: RowsInput["inputs"] | RowsInput["labels"]): number {
  return ArrayBuffer.isView(values) ? values.length : flatNumbers(values).length;
}

/** Of each target over the training rows. */
function scalingsOf({ labels, count }: RawRows, names: readonly string[], name: string): TargetScaling[] {
  return names.map((target, i) => {
    const values = Float64Array.from({ length: count }, (_, row) => labels[row * names.length + i] ?? 0);
    return targetScaling(() => [values], target, name);
  });
}

function withTargets(rows: RawRows, targets: readonly TargetScaling[]): Rows {
  return { ...rows, labels: scaledTargets(rows.labels, targets) };
}

function largestClass({ inputs, labels }: RowsInput): number {
  const largest = (values: RowsInput["labels"]): number =>
    maxOf(ArrayBuffer.isView(values) ? values : flatNumbers(values));
  return inputs instanceof Int32Array ? Math.max(largest(inputs), largest(labels)) : largest(labels);
}

function shapeOfRows({ inputs }: RowsInput, name: string): number[] {
  const shape: number[] = [];
  for (let row: unknown = (inputs as ArrayLike<unknown>)[0]; Array.isArray(row); row = row[0])
    shape.push(row.length);
  if (shape.length > 0) return shape;
  throw new KasminaError("invalid_data", `${name}: name the inputShape, or give rows as arrays of their own`);
}

function takeOut(
  rows: RawRows,
  fraction: number,
  { name, part }: { readonly name: string; readonly part: string },
  seed: number,
): { rest: RawRows; taken: RawRows } {
  const { labels, labelShape, count } = rows;
  // Rows of numbers or of several labels are of no one class: all are drawn alike.
  const strata = labels instanceof Int32Array && labelShape.length === 0 ? labels : new Int32Array(count);
  const { kept, taken } = stratifiedSplit(strata, fraction, seed);
  if (taken.length === 0) {
    throw new KasminaError("invalid_data", `${name}: ${rows.count} rows are too few to hold some out`);
  }
  return {
    rest: takeRows(rows, kept, `${name}, train`),
    taken: takeRows(rows, taken, `${name}, ${part}`),
  };
}

/** How much of so many training rows is held out, by default. */
export function heldOutFraction(rows: number): number {
  return Math.min(HELD_OUT_FRACTION, HELD_OUT_LIMIT / rows);
}
