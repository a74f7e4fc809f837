/** What a table says of each row that is to be predicted: a class, numbers, or a 0 or 1 for each of several labels. */
import { KasminaError } from "../base/errors.js";
import { LABEL_SEPARATOR, type TaskId } from "../contracts/tasks.js";
import type { CellOptions } from "./columns.js";
import { classesOf, isMissing, parseNumber } from "./labels.js";
import type { RowsInput } from "./rows.js";
import { listed, normalized, type Table } from "./table.js";

export interface TableLabels {
  /** Of classes, labels or targets. */
  readonly names: readonly string[];
  /** The labels of rows, as `datasetFromArrays` takes them. */
  of(rows: Int32Array): RowsInput["labels"];
  /** What a split keeps the proportions of: the classes, or nothing. */
  readonly strata: Int32Array;
}

type How = Pick<CellOptions, "name" | "missing" | "decimal">;

/**
 * @param places of their columns
 * @throws KasminaError `invalid_data` by row and column for a label that is missing or none, for one that is the same in every row
 */
export function readLabels(
  table: Table,
  places: readonly number[],
  task: Exclude<TaskId, "next-token">,
  how: How,
): TableLabels {
  if (task === "classification") return readClasses(table, places[0] ?? -1, how);
  const names = places.map((place) => table.columns[place] ?? "");
  if (task === "multilabel") checkLabelNames(names, how.name);
  const values = valuesIn(table, places, task, how);
  names.forEach((column, i) => {
    refuseConstant(values, { column, at: i, columns: names.length, task, name: how.name });
  });
  return {
    names,
    of: (rows) =>
      Float64Array.from({ length: rows.length * names.length }, (_, i) => {
        const row = rows[Math.floor(i / names.length)] ?? 0;
        return values[row * names.length + (i % names.length)] ?? 0;
      }),
    strata: new Int32Array(table.records.length),
  };
}

function readClasses({ columns, records }: Table, place: number, { name, missing }: How): TableLabels {
  const cells = records.map((record) => normalized(record[place] ?? ""));
  const { classNames, labels } = classesOf(cells, missing, name);
  if (classNames.length === records.length && records.length > 2) {
    const column = columns[place] ?? "";
    throw new KasminaError(
      "invalid_data",
      `${name}: the label "${column}" is another one in each of the ${records.length} rows; a number is predicted with ?target=${column}`,
    );
  }
  return {
    names: classNames,
    of: (rows) => rows.map((row) => labels[row] ?? 0),
    strata: labels,
  };
}

/**
 * Numbers, or zeros and ones, row after row.
 * @throws KasminaError `invalid_data` by row and column
 */
export function valuesIn(
  { columns, records }: Table,
  places: readonly number[],
  task: "regression" | "multilabel",
  { name, missing, decimal }: How,
): Float64Array {
  const numberIn = task === "regression" ? parseNumber : labelIn;
  const values = new Float64Array(records.length * places.length);
  records.forEach((record, row) => {
    places.forEach((place, i) => {
      const cell = normalized(record[place] ?? "");
      const value = numberIn(decimal === "," ? cell.replace(",", ".") : cell);
      if (value === undefined)
        throw refused(`${name}: row ${row + 1}, column "${columns[place]}"`, cell, task, missing);
      values[row * places.length + i] = value;
    });
  });
  return values;
}

function labelIn(cell: string): number | undefined {
  const value = parseNumber(BOOLEANS.get(cell) ?? cell);
  return value === 0 || value === 1 ? value : undefined;
}

const BOOLEANS: ReadonlyMap<string, string> = new Map([
  ["true", "1"],
  ["false", "0"],
]);

function refused(
  where: string,
  cell: string,
  task: "regression" | "multilabel",
  missing: ReadonlySet<string>,
): KasminaError {
  if (isMissing(cell, missing)) {
    const said = cell === "" ? "" : ` ("${cell}" says so; ?missing= names what does)`;
    return new KasminaError(
      "invalid_data",
      `${where}: no ${task === "regression" ? "target" : "label"}${said}`,
    );
  }
  const wanted = task === "regression" ? "is no number, which a target must be" : "is neither 0 nor 1";
  return new KasminaError("invalid_data", `${where}: "${cell}" ${wanted}`);
}

interface Labelled {
  readonly column: string;
  readonly at: number;
  readonly columns: number;
  readonly task: TaskId;
  readonly name: string;
}

function refuseConstant(values: Float64Array, { column, at, columns, task, name }: Labelled): void {
  const first = values[at];
  for (let i = at; i < values.length; i += columns) if (values[i] !== first) return;
  const what = task === "regression" ? "target" : "label";
  throw new KasminaError(
    "invalid_data",
    `${name}: the ${what} "${column}" is ${first} in every row: there is nothing to predict`,
  );
}

/** Refuses names that could not be told apart where a row's labels stand in one cell. */
function checkLabelNames(names: readonly string[], name: string): void {
  const odd = names.filter((one) => one.includes(LABEL_SEPARATOR));
  if (odd.length > 0)
    throw new KasminaError(
      "invalid_data",
      `${name}: a label's name holds a semicolon: rename ${listed(odd)}`,
    );
}
