/** Rows: checking what a caller hands in, and taking a part of it. */
import { KasminaError } from "../base/errors.js";
import type { Rows } from "../contracts/dataset.js";
import { sizeOf } from "../contracts/tensor.js";

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
  readonly labels: Int32Array | Uint8Array | readonly number[];
  /** Multiplied into every input; default 1/255 for a Uint8Array, else 1. */
  readonly scale?: number;
}

/** What the rows of a dataset have in common. */
export interface RowFormat {
  readonly inputShape: readonly number[];
  /** Default []: one label a row. */
  readonly labelShape?: readonly number[];
  readonly classes: number;
}

/**
 * Checks and wraps rows; typed arrays are kept, not copied.
 *
 * @param what names the rows in errors: "train", "test"
 * @throws KasminaError `invalid_data` for no rows, lengths that do not fit, an input that is not finite, a token or
 * a label outside 0 .. classes − 1
 */
export function checkedRows(input: RowsInput, format: RowFormat, what: string): Rows {
  const { inputShape, labelShape = [], classes } = format;
  const inputs = ArrayBuffer.isView(input.inputs)
    ? input.inputs
    : Float32Array.from(flatNumbers(input.inputs));
  const labels = input.labels instanceof Int32Array ? input.labels : Int32Array.from(input.labels);
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
  checkClasses("label", labels, labelsPerRow, classes, what);
  if (inputs instanceof Int32Array) checkClasses("token", inputs, rowSize, classes, what);
  if (inputs instanceof Float32Array) checkFinite(inputs, rowSize, what);
  const scale = input.scale ?? (inputs instanceof Uint8Array ? 1 / 255 : 1);
  return { inputs, scale, labelShape, labels, count };
}

function checkClasses(name: string, values: Int32Array, perRow: number, classes: number, what: string): void {
  const at = values.findIndex((value) => value < 0 || value >= classes);
  if (at < 0) return;
  const row = Math.floor(at / perRow);
  throw new KasminaError(
    "invalid_data",
    `${what}: ${name} ${values[at]} of row ${row} is outside the ${classes} classes 0..${classes - 1}`,
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
  const inputs = takeFrom(rows.inputs, rows.inputs.length / rows.count, indices);
  const labels = takeFrom(rows.labels, rows.labels.length / rows.count, indices);
  return { ...rows, inputs, labels, count: indices.length };
}

function takeFrom<A extends Rows["inputs"]>(source: A, perRow: number, indices: Int32Array): A {
  const taken = emptyLike(source, indices.length * perRow);
  indices.forEach((from, to) => {
    taken.set(source.subarray(from * perRow, (from + 1) * perRow), to * perRow);
  });
  return taken;
}

/** A typed array of the same kind; for a Buffer, a plain Uint8Array. */
function emptyLike<A extends Rows["inputs"]>(source: A, length: number): A {
  const kinds = [Uint8Array, Int32Array, Float32Array] as const;
  const Kind = kinds.find((kind) => source instanceof kind) ?? Float32Array;
  return new Kind(length) as unknown as A;
}
