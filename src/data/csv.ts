/** Tables: a header, numeric columns, one column with the label. */
import { parse } from "csv-parse/sync";
import { KasminaError, messageOf } from "../base/errors.js";
import type { Dataset, Rows } from "../contracts/dataset.js";
import { datasetFromArrays } from "./arrays.js";
import { checkedRows, takeRows } from "./rows.js";
import { stratifiedSplit } from "./split.js";

export interface CsvOptions {
  /** Column of the label; default "label". */
  readonly label?: string;
  /** Part of each class that becomes the test set, over 0 .. 1; default 0.2. */
  readonly testFraction?: number;
  readonly splitSeed?: number;
}

interface Table {
  readonly features: readonly string[];
  readonly inputs: Float32Array;
  readonly labels: Int32Array;
  readonly classNames: readonly string[];
}

/**
 * A dataset from the text of a CSV file. Features are standardised by the mean and deviation of the training
 * rows; labels become class numbers in sorted order (by value where all are numbers).
 *
 * @param name names the data in errors: `csv:iris.csv`
 */
export function datasetFromCsv(text: string, name: string, options: CsvOptions = {}): Dataset {
  const seed = options.splitSeed ?? 0;
  const table = readTable(text, name, options.label);
  const classes = table.classNames.length;
  if (classes < 2)
    throw new KasminaError("invalid_data", `${name}: the label is ${table.classNames} in every row`);
  const inputShape = [table.features.length];
  const all = checkedRows(table, { inputShape, classes }, name);
  const { kept, taken } = stratifiedSplit(all.labels, options.testFraction ?? 0.2, seed);
  const first = takeRows(all, kept);
  const dataset = datasetFromArrays({
    name,
    inputShape,
    classes,
    classNames: table.classNames,
    train: first,
    test: takeRows(all, taken),
    splitSeed: seed,
  });
  return standardised(dataset);
}

function readTable(text: string, name: string, label: string | undefined): Table {
  const [header = [], ...records] = parseRecords(text, name);
  const labelAt = header.indexOf(label ?? "label");
  if (header.length === 0) throw new KasminaError("invalid_data", `${name} is empty`);
  if (labelAt < 0) {
    const missing = label === undefined ? "add ?label=<column>" : `there is no column "${label}"`;
    throw new KasminaError("invalid_data", `${name}: ${missing}; the columns are ${header.join(", ")}`);
  }
  if (records.length === 0) throw new KasminaError("invalid_data", `${name} has a header but no rows`);
  const features = header.filter((_, i) => i !== labelAt);
  if (features.length === 0) throw new KasminaError("invalid_data", `${name} has no column beside the label`);
  const inputs = new Float32Array(records.length * features.length);
  let at = 0;
  records.forEach((record, row) => {
    record.forEach((cell, column) => {
      if (column !== labelAt)
        inputs[at++] = toNumber(cell, `${name}: row ${row + 1}, column "${header[column]}"`);
    });
  });
  const texts = records.map((record) => record[labelAt] ?? "");
  const classNames = sortedLabels(texts, name);
  const numberOf = new Map(classNames.map((value, i) => [value, i]));
  return {
    features,
    inputs,
    classNames,
    labels: Int32Array.from(texts, (value) => numberOf.get(value) ?? 0),
  };
}

function parseRecords(text: string, name: string): string[][] {
  try {
    return parse(text, { bom: true, trim: true, skip_empty_lines: true });
  } catch (error) {
    throw new KasminaError("invalid_data", `${name}: ${messageOf(error)}`, { cause: error });
  }
}

function toNumber(cell: string, where: string): number {
  const value = cell === "" ? Number.NaN : Number(cell);
  if (Number.isFinite(value)) return value;
  throw new KasminaError("invalid_data", `${where}: ${cell === "" ? "empty" : `"${cell}" is not a number`}`);
}

function sortedLabels(texts: readonly string[], name: string): string[] {
  const empty = texts.indexOf("");
  if (empty >= 0) throw new KasminaError("invalid_data", `${name}: row ${empty + 1} has no label`);
  const labels = [...new Set(texts)];
  const numeric = labels.every((label) => Number.isFinite(Number(label)));
  return numeric ? labels.sort((a, b) => Number(a) - Number(b)) : labels.sort();
}

/** Every feature with mean 0 and deviation 1 over the training rows; a constant feature becomes 0. */
function standardised(dataset: Dataset): Dataset {
  const features = dataset.inputShape[0] ?? 1;
  const { inputs, count } = dataset.train;
  const columns = Array.from({ length: features }, (_, column) => {
    let sum = 0;
    for (let i = column; i < inputs.length; i += features) sum += inputs[i] ?? 0;
    const mean = sum / count;
    let squares = 0;
    for (let i = column; i < inputs.length; i += features) squares += ((inputs[i] ?? 0) - mean) ** 2;
    return { mean, deviation: Math.sqrt(squares / count) || 1 };
  });
  const scaled = (rows: Rows): Rows => ({
    ...rows,
    inputs: Float32Array.from(rows.inputs, (value, i) => {
      const column = columns[i % features];
      return column ? (value - column.mean) / column.deviation : value;
    }),
  });
  return {
    ...dataset,
    train: scaled(dataset.train),
    heldOut: scaled(dataset.heldOut),
    test: scaled(dataset.test),
  };
}
