/** Rows: checking what a caller hands in, and taking a part of it. */
import { KasminaError } from "../base/errors.js";
import type { Rows } from "../contracts/dataset.js";
import { sizeOf } from "../contracts/tensor.js";

/** Rows as a library user has them. */
export interface RowsInput {
  /** Row after row. Bytes are scaled by 1/255, numbers are taken as they are, unless `scale` says otherwise. */
  readonly inputs: Float32Array | Uint8Array | readonly number[];
  readonly labels: Int32Array | Uint8Array | readonly number[];
  /** Multiplied into every input; default 1/255 for a Uint8Array, else 1. */
  readonly scale?: number;
}

/**
 * Checks and wraps rows; typed arrays are kept, not copied.
 *
 * @param what names the rows in errors: "train", "test"
 * @throws KasminaError `invalid_data` for no rows, lengths that do not fit, an input that is not finite, or a
 * label outside 0 .. classes − 1
 */
export function checkedRows(
  input: RowsInput,
  inputShape: readonly number[],
  classes: number,
  what: string,
): Rows {
  const inputs =
    input.inputs instanceof Float32Array || input.inputs instanceof Uint8Array
      ? input.inputs
      : Float32Array.from(input.inputs);
  const labels = input.labels instanceof Int32Array ? input.labels : Int32Array.from(input.labels);
  const count = labels.length;
  const rowSize = sizeOf(inputShape);
  if (count === 0) throw new KasminaError("invalid_data", `${what}: no rows`);
  if (inputs.length !== count * rowSize) {
    throw new KasminaError(
      "invalid_data",
      `${what}: ${count} labels and rows of shape [${inputShape}] need ${count * rowSize} inputs, got ${inputs.length}`,
    );
  }
  checkLabels(labels, classes, what);
  if (inputs instanceof Float32Array) checkFinite(inputs, rowSize, what);
  return { inputs, labels, count, scale: input.scale ?? (inputs instanceof Uint8Array ? 1 / 255 : 1) };
}

/** Throws at the first label that is not one of 0 .. classes − 1. */
export function checkLabels(labels: Int32Array, classes: number, what: string): void {
  const row = labels.findIndex((label) => label < 0 || label >= classes);
  if (row < 0) return;
  throw new KasminaError(
    "invalid_data",
    `${what}: label ${labels[row]} of row ${row} is outside the ${classes} classes 0..${classes - 1}`,
  );
}

function checkFinite(inputs: Float32Array, rowSize: number, what: string): void {
  const at = inputs.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return;
  const row = Math.floor(at / rowSize);
  throw new KasminaError("invalid_data", `${what}: input ${at % rowSize} of row ${row} is ${inputs[at]}`);
}

/** A copy of the rows at `indices`, in that order. */
export function takeRows(rows: Rows, indices: Int32Array): Rows {
  const rowSize = rows.inputs.length / rows.count;
  const size = indices.length * rowSize;
  const inputs = rows.inputs instanceof Uint8Array ? new Uint8Array(size) : new Float32Array(size);
  const labels = new Int32Array(indices.length);
  indices.forEach((from, to) => {
    inputs.set(rows.inputs.subarray(from * rowSize, (from + 1) * rowSize), to * rowSize);
    labels[to] = rows.labels[from] ?? 0;
  });
  return { inputs, labels, count: indices.length, scale: rows.scale };
}
