/**
 * The columns of a table as inputs: numbers with mean 0 and deviation 1, computed in float64 (float32 would make one value of all of
 * today's milliseconds), and texts as one input a category. How is decided once, by the training rows, and recorded.
 */
import { KasminaError } from "../base/errors.js";
import type { ColumnCategories, ColumnEncoding, ColumnScaling } from "../contracts/dataset.js";
import { type CellOptions, type Column, ColumnReader, placeOf } from "./column-reader.js";
import { type Blocks, scalingOf } from "./scaling.js";
import { listed, type Table } from "./table.js";

/**
 * How a column becomes inputs: by mean and deviation over the training rows, the deviation of a column that is constant in them, but
 * for rounding, being 0; or by the texts that occur in it, in sorted order.
 *
 * @param numbers its values in the training rows; NaN where one is missing
 * @throws KasminaError `invalid_data` for a column whose values are too large to be added up, or that has no value
 */
export function encodingOf(
  { name, texts }: Column,
  numbers: Blocks,
  { name: what, fill }: Pick<CellOptions, "name" | "fill">,
): ColumnEncoding {
  const filled = fill && { fill };
  if (texts) return { name, categories: [...texts].sort(), ...filled };
  const { mean, deviation, count } = scalingOf(function* () {
    for (const values of numbers()) yield values.filter((value) => !Number.isNaN(value));
  });
  if (count === 0)
    throw new KasminaError("invalid_data", `${what}: column "${name}" has no value in the training rows`);
  if (!Number.isFinite(mean) || !Number.isFinite(deviation))
    throw new KasminaError("invalid_data", `${what}: the values of column "${name}" are too large to scale`);
  return { name, mean, deviation, ...filled };
}

/** How many inputs a row has. */
export function widthOf(encodings: readonly ColumnEncoding[]): number {
  return encodings.reduce((sum, encoding) => sum + inputsOf(encoding), 0);
}

function inputsOf(encoding: ColumnEncoding): number {
  return "categories" in encoding ? encoding.categories.length : 1;
}

/** Writes the inputs of one column of a row. */
type Write = (value: number, row: number, inputs: Float32Array, from: number) => void;

/**
 * Makes inputs of rows: (value − mean) / deviation, 0 for a constant column, whatever it holds, since nothing was learnt of it; and for
 * each category 1 or 0. What is missing is 0.
 */
export class RowEncoder {
  /** Inputs of a row. */
  readonly width: number;
  readonly #columns: readonly { readonly from: number; readonly write: Write }[];

  /**
   * @param columns as they were read
   * @param name names the data in errors
   */
  constructor(columns: readonly Column[], encodings: readonly ColumnEncoding[], name: string) {
    this.width = widthOf(encodings);
    let from = 0;
    this.#columns = encodings.map((encoding, i) => {
      const place = from;
      from += inputsOf(encoding);
      const texts = columns[i]?.texts ?? [];
      const write =
        "categories" in encoding ? textWriter(encoding, texts, name) : numberWriter(encoding, name);
      return { from: place, write };
    });
  }

  /**
   * @param numberAt a column, as its reader gave it
   * @param row its number in the table, for errors
   * @param inputs get the row's, from `to` on; they are 0 before
   * @throws KasminaError `invalid_data` for a value so far off that float32 cannot hold it, a text that is no category
   */
  encode(numberAt: (column: number) => number, row: number, inputs: Float32Array, to: number): void {
    this.#columns.forEach(({ from, write }, i) => {
      const value = numberAt(i);
      if (!Number.isNaN(value)) write(value, row, inputs, to + from);
    });
  }
}

function numberWriter({ name, mean, deviation }: ColumnScaling, what: string): Write {
  return (value, row, inputs, at) => {
    if (deviation === 0) return;
    const result = Math.fround((value - mean) / deviation);
    if (!Number.isFinite(result))
      throw new KasminaError(
        "invalid_data",
        `${placeOf(row, name, what)}: ${value} is too far from the others`,
      );
    inputs[at] = result;
  };
}

function textWriter({ name, categories }: ColumnCategories, texts: readonly string[], what: string): Write {
  const places = texts.map((text) => categories.indexOf(text));
  return (code, row, inputs, from) => {
    const place = places[code] ?? -1;
    if (place < 0)
      throw new KasminaError(
        "invalid_data",
        `${placeOf(row, name, what)}: "${texts[code]}" is none of the categories ${listed(categories)}`,
      );
    inputs[from + place] = 1;
  };
}

/**
 * The inputs of all rows of a table, row after row, as a network learned to read them.
 *
 * @param places of the columns that the encodings are of
 * @throws KasminaError `invalid_data` by row and column for what cannot be read so
 */
export function encodedTable(
  { records }: Table,
  places: readonly number[],
  encodings: readonly ColumnEncoding[],
  options: Omit<CellOptions, "fill">,
): Float32Array {
  const columns = encodings.map((encoding, i) => {
    const how = { ...options, fill: encoding.fill ?? false };
    const reader = new ColumnReader(encoding.name, how, encoding);
    const at = places[i] ?? -1;
    const values = Float64Array.from(records, (record, row) => reader.read(record[at] ?? "", row));
    return { ...reader.column(), values };
  });
  const encoder = new RowEncoder(columns, encodings, options.name);
  const inputs = new Float32Array(records.length * encoder.width);
  records.forEach((_, row) => {
    const numberAt = (column: number): number => columns[column]?.values[row] ?? Number.NaN;
    encoder.encode(numberAt, row, inputs, row * encoder.width);
  });
  return inputs;
}
