/** Tables as data: columns of numbers or of categories, one column with the label, and which rows serve what. */
import { KasminaError } from "../base/errors.js";
import type { Dataset } from "../contracts/dataset.js";
import type { TaskId } from "../contracts/tasks.js";
import { datasetFromArrays, heldOutFraction } from "./arrays.js";
import { type CellOptions, encodedRows, encodingOf, readColumns, widthOf } from "./columns.js";
import { isMissing, MISSING_VALUES, parseNumber } from "./labels.js";
import { readLabels } from "./outcomes.js";
import type { RowsInput } from "./rows.js";
import { groupSplit, latestSplit, type Split, stratifiedSplit } from "./split.js";
import { listed, normalized, type Table } from "./table.js";

export interface TableOptions {
  /** Column of the class; default "label". */
  readonly label?: string;
  /** Columns of several labels, each 0 or 1, in the place of `label`. */
  readonly labels?: readonly string[];
  /** Columns of numbers to be predicted, in the place of `label`. */
  readonly target?: readonly string[];
  /** What the column that any of these names is taken for. Default: what the name of the option says. */
  readonly task?: TableTask;
  /** Part of the rows that becomes the test set, over 0 .. 1, class by class unless a split says otherwise; default 0.2. */
  readonly testFraction?: number;
  /** Rows that are the test set: all others are learned from. */
  readonly testTable?: Table;
  /** Column of a group: no group is in two splits. It is no input. */
  readonly group?: string;
  /** Column of a number or a date by which rows are ordered: the latest are the test set, those before them are held out. It is no input. */
  readonly time?: string;
  readonly splitSeed?: number;
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

/** What a table can be learned for. */
export type TableTask = Exclude<TaskId, "next-token">;

export const TABLE_TASKS = [
  "classification",
  "regression",
  "multilabel",
] as const satisfies readonly TableTask[];

/** What is to be predicted, and from which columns it is read. */
export interface Outcome {
  readonly task: TableTask;
  readonly columns: readonly string[];
}

/** @throws KasminaError `invalid_argument` for two of `label`, `labels` and `target`, or a task that does not go with them */
export function outcomeOf({ label, labels, target, task }: TableOptions, name: string): Outcome {
  const given: readonly (readonly [TableTask, readonly string[] | undefined])[] = [
    ["classification", label === undefined ? undefined : [label]],
    ["multilabel", labels],
    ["regression", target],
  ];
  const [first, second] = given.filter(([, columns]) => columns !== undefined);
  if (second)
    throw new KasminaError(
      "invalid_argument",
      `${name}: give one of label, labels and target, not two of them`,
    );
  const [own, columns] = first ?? (["classification", ["label"]] as const);
  const chosen = { task: task ?? own, columns: columns ?? [] };
  if (chosen.task === "classification" && chosen.columns.length > 1)
    throw new KasminaError(
      "invalid_argument",
      `${name}: a classification has one label, not ${listed(chosen.columns)}`,
    );
  return chosen;
}

/**
 * A dataset from a table. Numbers are standardised by the mean and deviation of the training
 * rows, a column of texts becomes one input a category; labels become class numbers in sorted order (by value where all are numbers),
 * numbers to be predicted are scaled as inputs are.
 *
 * @param name names the data in errors: `csv:iris.csv`
 * @throws KasminaError `invalid_data` naming row and column of what cannot be used
 */
export function datasetFromTable(table: Table, name: string, options: TableOptions = {}): Dataset {
  const whole = options.testTable ? appended(table, options.testTable, name) : table;
  const missing = new Set(options.missing ?? MISSING_VALUES);
  const outcome = outcomeOf(options, name);
  const outcomeAt = outcomePlaces(whole, outcome, name, options);
  const places = inputPlaces(whole, outcomeAt, name, { ...options, task: outcome.task });
  const cellsAre = { name, missing, decimal: options.decimal ?? ".", fill: options.fill === "mean" } as const;
  const labels = readLabels(whole, outcomeAt, outcome.task, cellsAre);
  const columns = readColumns(whole, places, cellsAre);
  const { train, heldOut, test } = partsOf(table, whole, { strata: labels.strata, cellsAre, options });
  const encodings = columns.map((column) => encodingOf(column, train, cellsAre));
  const rows = (indices: Int32Array): RowsInput => ({
    inputs: encodedRows(columns, encodings, indices, name),
    labels: labels.of(indices),
  });
  return datasetFromArrays({
    name,
    inputShape: [widthOf(encodings)],
    // A classification is what data are for where nothing else is said.
    ...(outcome.task !== "classification" && { task: outcome.task }),
    classes: labels.names.length,
    classNames: labels.names,
    columns: encodings,
    train: rows(train),
    heldOut: rows(heldOut),
    test: rows(test),
    splitSeed: options.splitSeed ?? 0,
  });
}

/** Both, the columns of the second in the order of the first. */
function appended({ columns, records }: Table, more: Table, name: string): Table {
  const lacking = columns.find((column) => !more.columns.includes(column));
  if (lacking !== undefined)
    throw new KasminaError("invalid_data", `${name}: its test_file has no column "${lacking}"`);
  const places = columns.map((column) => more.columns.indexOf(column));
  return {
    columns,
    records: [...records, ...more.records.map((record) => places.map((place) => record[place] ?? ""))],
  };
}

interface Divided {
  /** Of each row: what a split keeps the proportions of. */
  readonly strata: Int32Array;
  readonly cellsAre: CellOptions;
  readonly options: TableOptions;
}

/** Row numbers of the three splits; those of the table that is learned from come first. */
function partsOf(table: Table, whole: Table, { strata, cellsAre, options }: Divided) {
  const { name } = cellsAre;
  const split = splitter(whole, { strata, cellsAre, options });
  const all = Int32Array.from(whole.records.keys());
  const own = all.subarray(0, table.records.length);
  const { kept, taken: test } = options.testTable
    ? { kept: own, taken: all.subarray(table.records.length) }
    : split(own, options.testFraction ?? 0.2, "test");
  const { kept: train, taken: heldOut } = split(kept, heldOutFraction(kept.length), "held out");
  if (test.length === 0) throw new KasminaError("invalid_data", `${name}, test: no rows`);
  if (heldOut.length === 0)
    throw new KasminaError("invalid_data", `${name}: ${kept.length} rows are too few to hold some out`);
  return { train, heldOut, test };
}

type Splitter = (rows: Int32Array, fraction: number, what: string) => Split;

/** Takes a part of rows: by group, by time, else class by class. */
function splitter(table: Table, { strata, cellsAre, options }: Divided): Splitter {
  const { splitSeed = 0, group, time } = options;
  const { name } = cellsAre;
  const of = (rows: Int32Array, { kept, taken }: Split): Split => ({
    kept: pick(rows, kept),
    taken: pick(rows, taken),
  });
  if (group !== undefined && time !== undefined)
    throw new KasminaError("invalid_argument", `${name}: give group or time, not both`);
  if (group !== undefined) {
    const cells = cellsOf(table, group, name);
    const names = [...new Set(cells)];
    const codeOf = new Map(names.map((one, code) => [one, code]));
    const codes = Int32Array.from(cells, (cell) => codeOf.get(cell) ?? 0);
    return (rows, fraction, what) => {
      const groups = { codes: pick(codes, rows), names };
      if (new Set(groups.codes).size < 2)
        throw new KasminaError(
          "invalid_data",
          `${name}: too few groups in column "${group}" to have some ${what}`,
        );
      return of(rows, groupSplit(groups, fraction, splitSeed));
    };
  }
  if (time !== undefined) {
    const moments = momentsIn(cellsOf(table, time, name), time, cellsAre);
    return (rows, fraction) =>
      of(
        rows,
        latestSplit(
          Float64Array.from(rows, (row) => moments[row] ?? 0),
          fraction,
        ),
      );
  }
  return (rows, fraction) => of(rows, stratifiedSplit(pick(strata, rows), fraction, splitSeed));
}

function cellsOf({ columns, records }: Table, column: string, name: string): string[] {
  const at = columns.indexOf(normalized(column));
  if (at < 0)
    throw new KasminaError(
      "invalid_data",
      `${name}: there is no column "${column}"; the columns are ${listed(columns)}`,
    );
  return records.map((record) => normalized(record[at] ?? ""));
}

/** Numbers, or dates that begin with the year. */
function momentsIn(cells: readonly string[], column: string, { name, missing }: CellOptions): Float64Array {
  return Float64Array.from(cells, (cell, row) => {
    const value = parseNumber(cell) ?? (/^\d{4}-\d{2}/.test(cell) ? Date.parse(cell) : Number.NaN);
    if (Number.isFinite(value)) return value;
    const what = isMissing(cell, missing)
      ? "no time"
      : `"${cell}", which is no number and no date like 2024-03-01`;
    throw new KasminaError("invalid_data", `${name}: row ${row + 1}, column "${column}" has ${what}`);
  });
}

/** Where the columns of what is to be predicted stand. */
function outcomePlaces(
  { columns }: Table,
  outcome: Outcome,
  name: string,
  { label, labels, target }: TableOptions,
): number[] {
  const isNamed = label !== undefined || labels !== undefined || target !== undefined;
  const wanted = outcome.columns.map(normalized);
  const twice = wanted.find((column, i) => wanted.indexOf(column) !== i);
  if (twice !== undefined)
    throw new KasminaError("invalid_argument", `${name}: column "${twice}" is named twice`);
  return wanted.map((column) => {
    const at = columns.indexOf(column);
    if (at >= 0) return at;
    const [lacking, advice] = isNamed
      ? [`there is no column "${column}"`, ""]
      : ["add ?label=<column>", " (of a number to predict: ?target=<column>)"];
    throw new KasminaError(
      "invalid_data",
      `${name}: ${lacking}; the columns are ${listed(columns)}${advice}`,
    );
  });
}

/** All columns but the label's, those that rows are divided by, and those that are left out. */
function inputPlaces(
  { columns }: Table,
  outcomeAt: readonly number[],
  name: string,
  { drop = [], group, time, task }: TableOptions & Pick<Outcome, "task">,
): number[] {
  const dropped = [...drop, group, time].flatMap((column) =>
    column === undefined ? [] : normalized(column),
  );
  const unknown = dropped.find((column) => !columns.includes(column));
  if (unknown !== undefined)
    throw new KasminaError(
      "invalid_data",
      `${name}: there is no column "${unknown}" to drop; the columns are ${listed(columns)}`,
    );
  const places = columns.flatMap((column, at) =>
    outcomeAt.includes(at) || dropped.includes(column) ? [] : [at],
  );
  if (places.length === 0)
    throw new KasminaError(
      "invalid_data",
      `${name} has no column beside the ${task === "regression" ? "target" : "label"}`,
    );
  return places;
}

function pick(from: Int32Array, indices: Int32Array): Int32Array {
  return indices.map((index) => from[index] ?? 0);
}
