/** Tables: a header, columns of numbers or of categories, one column with the label. */
import { KasminaError } from "../base/errors.js";
import type { Dataset } from "../contracts/dataset.js";
import { datasetFromArrays, heldOutSplit } from "./arrays.js";
import { encodedRows, encodingOf, readColumns, widthOf } from "./columns.js";
import { classesOf, MISSING_VALUES } from "./labels.js";
import type { RowsInput } from "./rows.js";
import { stratifiedSplit } from "./split.js";
import { listed, normalized, parseTable, type Table } from "./table.js";

export interface CsvOptions {
  /** Column of the label; default "label". */
  readonly label?: string;
  /** Part of each class that becomes the test set, over 0 .. 1; default 0.2. */
  readonly testFraction?: number;
  readonly splitSeed?: number;
  /** Between the cells: a character, or `tab`, `comma`, `semicolon`, `pipe`; default: what the header has most of. */
  readonly delimiter?: string;
  /** Decimal mark; default ".". */
  readonly decimal?: "." | ",";
  /** Cells that say that a value is missing, besides empty ones; default {@link MISSING_VALUES}. */
  readonly missing?: readonly string[];
  /**
   * What a missing value becomes: with `mean` a number its column's mean over the training rows, a text of no category; with `error`,
   * the default, it is refused.
   */
  readonly fill?: "error" | "mean";
  /** Columns that are left out. */
  readonly drop?: readonly string[];
}

/**
 * A dataset from the text of a table. Numbers are standardised by the mean and deviation of the training
 * rows, a column of texts becomes one input a category; labels become class numbers in sorted order (by value where all are numbers).
 *
 * @param name names the data in errors: `csv:iris.csv`
 * @throws KasminaError `invalid_data` naming row and column of what cannot be used
 */
export function datasetFromCsv(text: string, name: string, options: CsvOptions = {}): Dataset {
  const { splitSeed = 0, testFraction = 0.2 } = options;
  const table = parseTable(text, name, options.delimiter);
  const missing = new Set(options.missing ?? MISSING_VALUES);
  const labelAt = labelColumn(table, name, options.label);
  const places = inputPlaces(table, labelAt, name, options.drop);
  const cells = table.records.map((record) => normalized(record[labelAt] ?? ""));
  const { classNames, labels } = classesOf(cells, missing, name);
  const cellsAre = { name, missing, decimal: options.decimal ?? ".", fill: options.fill === "mean" } as const;
  const columns = readColumns(table, places, cellsAre);
  const { kept, taken: test } = stratifiedSplit(labels, testFraction, splitSeed);
  if (test.length === 0) throw new KasminaError("invalid_data", `${name}, test: no rows`);
  const inFirst = heldOutSplit(pick(labels, kept), name, splitSeed);
  const train = pick(kept, inFirst.kept);
  const encodings = columns.map((column) => encodingOf(column, train, cellsAre));
  const rows = (indices: Int32Array): RowsInput => ({
    inputs: encodedRows(columns, encodings, indices, name),
    labels: pick(labels, indices),
  });
  return datasetFromArrays({
    name,
    inputShape: [widthOf(encodings)],
    classes: classNames.length,
    classNames,
    columns: encodings,
    train: rows(train),
    heldOut: rows(pick(kept, inFirst.taken)),
    test: rows(test),
    splitSeed,
  });
}

function labelColumn({ columns }: Table, name: string, label: string | undefined): number {
  const at = columns.indexOf(normalized(label ?? "label"));
  if (at < 0) {
    const missing = label === undefined ? "add ?label=<column>" : `there is no column "${label}"`;
    throw new KasminaError("invalid_data", `${name}: ${missing}; the columns are ${listed(columns)}`);
  }
  return at;
}

/** All columns but the label's and those that are left out. */
function inputPlaces(
  { columns }: Table,
  labelAt: number,
  name: string,
  drop: readonly string[] = [],
): number[] {
  const dropped = drop.map(normalized);
  const unknown = dropped.find((column) => !columns.includes(column));
  if (unknown !== undefined)
    throw new KasminaError(
      "invalid_data",
      `${name}: there is no column "${unknown}" to drop; the columns are ${listed(columns)}`,
    );
  const places = columns.flatMap((column, at) => (at === labelAt || dropped.includes(column) ? [] : [at]));
  if (places.length === 0) throw new KasminaError("invalid_data", `${name} has no column beside the label`);
  return places;
}

function pick(from: Int32Array, indices: Int32Array): Int32Array {
  return indices.map((index) => from[index] ?? 0);
}
