/**
 * The columns of a table as inputs: numbers with mean 0 and deviation 1, computed in float64 (float32 would make one value of all of
 * today's milliseconds), and texts as one input a category. How is decided once, by the training rows, and recorded.
 */
import { KasminaError } from "../base/errors.js";
import type { ColumnCategories, ColumnEncoding, ColumnScaling } from "../contracts/dataset.js";
import { isMissing, parseNumber } from "./labels.js";
import { scalingOf } from "./scaling.js";
import { listed, type Table } from "./table.js";

/** A column of more different texts is no category: names, ids, sentences. */
const CATEGORIES_MAX = 100;

const DECIMAL_COMMA = /^[+-]?\d+,\d+$/;
const DATE = /^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})([T ]\d{1,2}:.*)?$/;

export interface CellOptions {
  /** Names the data in errors. */
  readonly name: string;
  readonly missing: ReadonlySet<string>;
  readonly decimal: "." | ",";
  /** Whether a value may be missing: a number is its column's mean then, a text of no category. */
  readonly fill: boolean;
}

/** One column: numbers, NaN where one is missing, or texts, undefined where one is. */
export type Column = NumberColumn | TextColumn;

interface NumberColumn {
  readonly name: string;
  readonly numbers: Float64Array;
}

interface TextColumn {
  readonly name: string;
  readonly texts: readonly (string | undefined)[];
}

/**
 * The columns at `places`. One in which no cell is a number holds texts.
 *
 * @throws KasminaError `invalid_data` by row and column for a text among numbers, a missing value unless those are filled, dates
 */
export function readColumns(table: Table, places: readonly number[], options: CellOptions): Column[] {
  return places.map((place) => {
    const cells = cellsAt(table, place);
    const said = cells.filter((cell) => !isMissing(cell, options.missing));
    const isText = said.length > 0 && said.every((cell) => isWord(cell, options));
    const name = table.columns[place] ?? "";
    if (isText) refuseDates(said, name, options);
    return isText ? textsOf(cells, name, options) : numbersOf(cells, name, options);
  });
}

/** The columns at `places`, read as they were when the network learned. */
export function readColumnsAs(
  encodings: readonly ColumnEncoding[],
  table: Table,
  places: readonly number[],
  options: Omit<CellOptions, "fill">,
): Column[] {
  return encodings.map((encoding, i) => {
    const cells = cellsAt(table, places[i] ?? -1);
    const how = { ...options, fill: encoding.fill ?? false };
    return "categories" in encoding
      ? textsOf(cells, encoding.name, how)
      : numbersOf(cells, encoding.name, how);
  });
}

function cellsAt({ records }: Table, place: number): string[] {
  return records.map((record) => record[place] ?? "");
}

function numberIn(cell: string, { decimal }: Pick<CellOptions, "decimal">): number | undefined {
  return parseNumber(decimal === "," ? cell.replace(",", ".") : cell);
}

/** Neither a number nor one with a decimal comma, which nobody means as a category. */
function isWord(cell: string, options: Pick<CellOptions, "decimal">): boolean {
  return numberIn(cell, options) === undefined && !DECIMAL_COMMA.test(cell);
}

function numbersOf(cells: readonly string[], name: string, options: CellOptions): Column {
  const numbers = Float64Array.from(cells, (cell, row) => {
    const value = numberIn(cell, options);
    if (value !== undefined) return value;
    refuseMissing(cell, row, name, options);
    if (isMissing(cell, options.missing)) return Number.NaN;
    const hint = DECIMAL_COMMA.test(cell) ? " (a decimal comma? Add ?decimal=,)" : "";
    throw new KasminaError(
      "invalid_data",
      `${placeOf(row, name, options.name)}: "${cell}" is not a number${hint}`,
    );
  });
  return { name, numbers };
}

function textsOf(cells: readonly string[], name: string, options: CellOptions): Column {
  const texts = cells.map((cell, row) => {
    refuseMissing(cell, row, name, options);
    return isMissing(cell, options.missing) ? undefined : cell.normalize("NFC");
  });
  return { name, texts };
}

function refuseMissing(cell: string, row: number, name: string, options: CellOptions): void {
  if (options.fill || !isMissing(cell, options.missing)) return;
  const what = cell === "" ? "empty" : `"${cell}" says that the value is missing`;
  throw new KasminaError(
    "invalid_data",
    `${placeOf(row, name, options.name)}: ${what}; ?fill=mean fills such gaps`,
  );
}

function placeOf(row: number, column: string, name: string): string {
  return `${name}: row ${row + 1}, column "${column}"`;
}

function refuseDates(cells: readonly string[], column: string, { name }: CellOptions): void {
  if (!cells.every((cell) => DATE.test(cell))) return;
  const advice = `give it as numbers (days since some day, month, hour), or leave it out with ?drop=${column}`;
  throw new KasminaError("invalid_data", `${name}: column "${column}" holds dates: ${advice}`);
}

/**
 * How a column becomes inputs: by mean and deviation over the training rows, the deviation of a column that is constant in them, but
 * for rounding, being 0; or by the texts that occur in it, in sorted order.
 *
 * @throws KasminaError `invalid_data` for a column whose values are too large to be added up, that has no value, or too many texts
 */
export function encodingOf(
  column: Column,
  rows: Int32Array,
  { name: what, fill }: CellOptions,
): ColumnEncoding {
  const { name } = column;
  const filled = fill && { fill };
  if ("texts" in column) {
    const categories = [...new Set(column.texts.filter((text) => text !== undefined))].sort();
    if (categories.length <= CATEGORIES_MAX) return { name, categories, ...filled };
    const advice = `more than ${CATEGORIES_MAX}: an id, or a text? Leave it out with ?drop=${name}`;
    throw new KasminaError(
      "invalid_data",
      `${what}: column "${name}" has ${categories.length} different texts, ${advice}`,
    );
  }
  const values = Float64Array.from(rows, (row) => column.numbers[row] ?? 0).filter(
    (value) => !Number.isNaN(value),
  );
  if (values.length === 0)
    throw new KasminaError("invalid_data", `${what}: column "${name}" has no value in the training rows`);
  const { mean, deviation } = scalingOf(() => [values]);
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

/**
 * The inputs of the given rows, row after row: (value − mean) / deviation, 0 for a constant column, whatever it holds, since nothing
 * was learnt of it; and for each category 1 or 0. What is missing is 0.
 *
 * @throws KasminaError `invalid_data` for a value so far off that float32 cannot hold it, a text that is no category
 */
export function encodedRows(
  columns: readonly Column[],
  encodings: readonly ColumnEncoding[],
  rows: Int32Array,
  what: string,
): Float32Array {
  const width = widthOf(encodings);
  const inputs = new Float32Array(rows.length * width);
  let from = 0;
  columns.forEach((column, i) => {
    const encoding = encodings[i];
    if (!encoding) return;
    const target = { inputs, width, from, what };
    if ("texts" in column && "categories" in encoding) writeTexts(column, encoding, rows, target);
    else if ("numbers" in column && "mean" in encoding) writeNumbers(column, encoding, rows, target);
    from += inputsOf(encoding);
  });
  return inputs;
}

interface Target {
  readonly inputs: Float32Array;
  readonly width: number;
  /** The column's first input. */
  readonly from: number;
  readonly what: string;
}

function writeNumbers(
  { name, numbers }: NumberColumn,
  { mean, deviation }: ColumnScaling,
  rows: Int32Array,
  { inputs, width, from, what }: Target,
): void {
  rows.forEach((row, i) => {
    const value = numbers[row] ?? 0;
    const isZero = deviation === 0 || Number.isNaN(value);
    const result = isZero ? 0 : Math.fround((value - mean) / deviation);
    if (!Number.isFinite(result)) {
      throw new KasminaError(
        "invalid_data",
        `${placeOf(row, name, what)}: ${value} is too far from the others`,
      );
    }
    inputs[i * width + from] = result;
  });
}

function writeTexts(
  { name, texts }: TextColumn,
  { categories }: ColumnCategories,
  rows: Int32Array,
  { inputs, width, from, what }: Target,
): void {
  const numberOf = new Map(categories.map((category, i) => [category, i]));
  rows.forEach((row, i) => {
    const text = texts[row];
    if (text === undefined) return;
    const at = numberOf.get(text);
    if (at === undefined) {
      throw new KasminaError(
        "invalid_data",
        `${placeOf(row, name, what)}: "${text}" is none of the categories ${listed(categories)}`,
      );
    }
    inputs[i * width + from + at] = 1;
  });
}
