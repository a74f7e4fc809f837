/** Rows: checking what a caller hands in, and taking a part of it. */
import { KasminaError } from "../base/errors.js";
import type { Rows } from "../contracts/dataset.js";
import type { TaskId } from "../contracts/tasks.js";
import { sizeOf } from "../contracts/tensor.js";
import { scaledWeights } from "./weights.js";

/**
 * Numbers, nested as deep as the rows are: `[[0.1, 0.2], [0.3, 0.4]]`.
 *
 * @example
 * ```ts
 * import type { NestedNumbers } from "kasmina";
 *
 * const rows: NestedNumbers = [[0.1, 0.2], [0.3, 0.4]];
 * ```
 */
export type NestedNumbers = readonly (number | NestedNumbers)[];

/** The numbers of nested rows, one after the other. */
export function flatNumbers(rows: NestedNumbers): readonly number[] {
  return (rows as readonly unknown[]).flat(Number.POSITIVE_INFINITY as 1) as readonly number[];
}

/**
 * Rows as a library user has them.
 *
 * @example
 * ```ts
 * import type { RowsInput } from "kasmina";
 *
 * const rows: RowsInput = { inputs: new Float32Array([0, 0, 1, 1]), labels: [0, 1] };
 * ```
 */
export interface RowsInput {
  /**
   * Row after row, or an array for each row. Bytes are scaled by 1/255, numbers are taken as they are, unless `scale` says
   * otherwise; an Int32Array holds tokens, 0 .. classes − 1.
   */
  readonly inputs: Float32Array | Uint8Array | Int32Array | NestedNumbers;
  /**
   * Class numbers; for a regression the numbers to be predicted, in their own units, and for several labels a 0 or 1 for each, row
   * after row or an array for each row.
   */
  readonly labels: Int32Array | Uint8Array | Float32Array | Float64Array | NestedNumbers;
  /** Multiplied into every input; default 1/255 for a Uint8Array, else 1. */
  readonly scale?: number;
  /**
   * How much each row counts, as scikit-learn's `sample_weight`: numbers of 0 or more, not all 0; a row of weight 2 counts as two rows. They are
   * scaled to a mean of 1. Default: all count alike.
   */
  readonly weights?: Float32Array | Float64Array | readonly number[];
}

/** What the rows of a dataset have in common. */
export interface RowFormat {
  readonly inputShape: readonly number[];
  /** Default []: one label a row. */
  readonly labelShape?: readonly number[];
  readonly classes: number;
  /** Default: what the shape of the labels says. */
  readonly task?: TaskId | undefined;
}

/** Rows whose numbers to be predicted are not scaled yet: float64, so that none is rounded before its mean is taken off. */
export type RawRows = Omit<Rows, "labels"> & { readonly labels: Rows["labels"] | Float64Array };

/**
 * Checks and wraps rows; typed arrays are kept, not copied.
 *
 * @param what names the rows in errors: "train", "test"
 * @throws KasminaError `invalid_data` for no rows, lengths that do not fit, an input that is not finite, a token or
 * a label outside 0 .. classes − 1, a weight below 0 or not finite, weights that are all 0
 */
export function checkedRows(input: RowsInput, format: RowFormat, what: string): RawRows {
  const { inputShape, labelShape = [], classes, task } = format;
  const inputs = ArrayBuffer.isView(input.inputs)
    ? input.inputs
    : Float32Array.from(flatNumbers(input.inputs));
  const labels = labelsIn(input.labels, task);
  const labelsPerRow = sizeOf(labelShape);
  const count = labels.length / labelsPerRow;
  const rowSize = sizeOf(inputShape);
  if (count === 0) throw new KasminaError("invalid_data", `${what}: no rows`);
  if (!Number.isInteger(count) || inputs.length !== count * rowSize) {
    throw new KasminaError(
      "invalid_data",
      `${what}: ${labels.length} labels and rows of shape [${inputShape}] need ${count * rowSize} inputs, got ${inputs.length}`,
    );
  }
  if (task === "regression") checkFinite("target", labels, labelsPerRow, what);
  else checkClasses("label", labels, labelsPerRow, task === "multilabel" ? 2 : classes, what);
  if (inputs instanceof Int32Array) checkClasses("token", inputs, rowSize, classes, what);
  if (inputs instanceof Float32Array) checkFinite("input", inputs, rowSize, what);
  const scale = input.scale ?? (inputs instanceof Uint8Array ? 1 / 255 : 1);
  const weights = input.weights && scaledWeights(input.weights, count, what);
  return { inputs, scale, labelShape, labels: stored(labels, task), count, ...(weights && { weights }) };
}

type Values = Int32Array | Float32Array | Float64Array;

/** Class numbers that are Int32 stay as they are; everything else is looked at before it is rounded. */
function labelsIn(given: RowsInput["labels"], task: TaskId | undefined): Int32Array | Float64Array {
  if (given instanceof Int32Array && task !== "regression") return given;
  return Float64Array.from(ArrayBuffer.isView(given) ? given : flatNumbers(given));
}

function stored(labels: Int32Array | Float64Array, task: TaskId | undefined): RawRows["labels"] {
  if (task === "regression") return labels;
  if (task === "multilabel") return Float32Array.from(labels);
  return labels instanceof Int32Array ? labels : Int32Array.from(labels);
}

function checkClasses(name: string, values: Values, perRow: number, classes: number, what: string): void {
  const at = values.findIndex((value: number) => !Number.isInteger(value) || value < 0 || value >= classes);
  if (at < 0) return;
  const row = Math.floor(at / perRow);
  const value = values[at];
  const problem = Number.isInteger(value)
    ? `is outside the ${classes} classes 0..${classes - 1}`
    : 'is no class number; numbers are predicted with task "regression"';
  throw new KasminaError("invalid_data", `${what}: ${name} ${value} of row ${row} ${problem}`);
}

function checkFinite(name: string, values: Values, perRow: number, what: string): void {
  const at = values.findIndex((value: number) => !Number.isFinite(value));
  if (at < 0) return;
  const row = Math.floor(at / perRow);
  throw new KasminaError("invalid_data", `${what}: ${name} ${at % perRow} of row ${row} is ${values[at]}`);
}

/**
 * A copy of the rows at `indices`, in that order.
 * @throws KasminaError `invalid_data` where their weights are all 0
 */
export function takeRows(rows: RawRows, indices: Int32Array, what: string): RawRows {
  const inputs = takeFrom(rows.inputs, rows.inputs.length / rows.count, indices);
  const labels = takeFrom(rows.labels, rows.labels.length / rows.count, indices);
  const { weights } = rows;
  return {
    ...{ ...rows, inputs, labels, count: indices.length },
    ...(weights && { weights: scaledWeights(takeFrom(weights, 1, indices), indices.length, what) }),
  };
}

function takeFrom<A extends RawRows["inputs"] | RawRows["labels"]>(
  source: A,
  perRow: number,
  indices: Int32Array,
): A {
  const taken = emptyLike(source, indices.length * perRow);
  indices.forEach((from, to) => {
    taken.set(source.subarray(from * perRow, (from + 1) * perRow), to * perRow);
  });
  return taken;
}

/** A typed array of the same kind; for a Buffer, a plain Uint8Array. */
function emptyLike<A extends RawRows["inputs"] | RawRows["labels"]>(source: A, length: number): A {
  const kinds = [Uint8Array, Int32Array, Float32Array, Float64Array] as const;
  const Kind = kinds.find((kind) => source instanceof kind) ?? Float32Array;
  return new Kind(length) as unknown as A;
}
