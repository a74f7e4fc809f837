/** Tables: a header, numeric columns, one column with the label. */
import { KasminaError } from "../base/errors.js";
import type { Dataset } from "../contracts/dataset.js";
import { datasetFromArrays, heldOutSplit } from "./arrays.js";
import { classesOf, isMissing, MISSING_VALUES, parseNumber } from "./labels.js";
import type { RowsInput } from "./rows.js";
import { stratifiedSplit } from "./split.js";
import { type Columns, columnScaling, standardizedRows } from "./standardize.js";
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
}

/**
 * A dataset from the text of a table. Features are standardised by the mean and deviation of the training
 * rows; labels become class numbers in sorted order (by value where all are numbers).
 *
 * @param name names the data in errors: `csv:iris.csv`
 * @throws KasminaError `invalid_data` naming row and column of what cannot be used
 */
export function datasetFromCsv(text: string, name: string, options: CsvOptions = {}): Dataset {
  const { splitSeed = 0, testFraction = 0.2 } = options;
  const table = parseTable(text, name, options.delimiter);
  const missing = new Set(options.missing ?? MISSING_VALUES);
  const labelAt = labelColumn(table, name, options.label);
  const cells = table.records.map((record) => normalized(record[labelAt] ?? ""));
  const { classNames, labels } = classesOf(cells, missing, name);
  const columns = numericColumns(table, { labelAt, missing, decimal: options.decimal ?? ".", name });
  const { kept, taken: test } = stratifiedSplit(labels, testFraction, splitSeed);
  if (test.length === 0) throw new KasminaError("invalid_data", `${name}, test: no rows`);
  const inFirst = heldOutSplit(pick(labels, kept), name, splitSeed);
  const train = pick(kept, inFirst.kept);
  const scaling = columnScaling(columns, train, name);
  const rows = (indices: Int32Array): RowsInput => ({
    inputs: standardizedRows(columns, scaling, indices, name),
    labels: pick(labels, indices),
  });
  return datasetFromArrays({
    name,
    inputShape: [columns.names.length],
    classes: classNames.length,
    classNames,
    columns: scaling,
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
  if (columns.length === 1) throw new KasminaError("invalid_data", `${name} has no column beside the label`);
  return at;
}

interface CellOptions {
  readonly missing: ReadonlySet<string>;
  readonly decimal: "." | ",";
}

interface NumericOptions extends CellOptions {
  readonly labelAt: number;
  readonly name: string;
}

/** All columns but the label's. */
function numericColumns({ columns, records }: Table, options: NumericOptions): Columns {
  const { labelAt, name } = options;
  const names = columns.filter((_, i) => i !== labelAt);
  const values = new Float64Array(records.length * names.length);
  let at = 0;
  records.forEach((record, row) => {
    record.forEach((cell, column) => {
      if (column === labelAt) return;
      const where = `${name}: row ${row + 1}, column "${columns[column]}"`;
      values[at++] = numberIn(cell, where, options);
    });
  });
  return { names, values };
}

/** @throws KasminaError `invalid_data` for a cell that is no number, saying where */
export function numberIn(cell: string, where: string, { missing, decimal }: CellOptions): number {
  const value = parseNumber(decimal === "," ? cell.replace(",", ".") : cell);
  if (value !== undefined) return value;
  if (cell === "") throw new KasminaError("invalid_data", `${where}: empty`);
  if (isMissing(cell, missing))
    throw new KasminaError("invalid_data", `${where}: "${cell}" says that the value is missing`);
  const hint = /^[+-]?\d+,\d+$/.test(cell) ? " (a decimal comma? Add ?decimal=,)" : "";
  throw new KasminaError("invalid_data", `${where}: "${cell}" is not a number${hint}`);
}

function pick(from: Int32Array, indices: Int32Array): Int32Array {
  return indices.map((index) => from[index] ?? 0);
}
