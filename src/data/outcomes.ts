/** What a table says of each row that is to be predicted: a class, numbers, or a 0 or 1 for each of several labels. */
import { KasminaError } from "../base/errors.js";
import { LABEL_SEPARATOR } from "../contracts/tasks.js";
import type { ColumnBlocks } from "./column-blocks.js";
import { type CellOptions, placeOf } from "./column-reader.js";
import { ClassReader, isMissing, parseNumber } from "./labels.js";
import { listed, normalized, type Table } from "./table.js";
import type { TableTask } from "./table-options.js";

type How = Pick<CellOptions, "name" | "missing" | "decimal">;

/** Of one column of what is to be predicted. */
export interface OutcomeReader {
  /** @throws KasminaError `invalid_data` by row and column for a label that is missing or none */
  read(cell: string, row: number): number;
}

/** The labels of a table, once all rows are read. */
export interface TableLabels {
  /** Of classes, labels or targets. */
  readonly names: readonly string[];
  /** Of classes: the class of each row. */
  readonly classes?: Int32Array;
}

/** What is to be predicted, read cell by cell into the first columns of the blocks. */
export class OutcomesReader {
  readonly readers: readonly OutcomeReader[];
  readonly #columns: readonly string[];
  readonly #classes: ClassReader | undefined;
  readonly #task: TableTask;
  readonly #name: string;

  /** @throws KasminaError `invalid_data` for names of labels that could not be told apart */
  constructor(columns: readonly string[], task: TableTask, how: How) {
    this.#columns = columns;
    this.#task = task;
    this.#name = how.name;
    if (task === "multilabel") checkLabelNames(columns, how.name);
    const classes =
      task === "classification"
        ? new ClassReader(how.missing, { name: how.name, column: columns[0] ?? "" })
        : undefined;
    this.#classes = classes;
    this.readers = columns.map((column) =>
      classes
        ? { read: (cell, row) => classes.read(normalized(cell), row) }
        : { read: valueReader(column, task === "multilabel" ? task : "regression", how) },
    );
  }

  /** @throws KasminaError `invalid_data` for a label or target that is the same in every row, a class that is another one in each */
  labels(blocks: ColumnBlocks): TableLabels {
    if (this.#classes) return this.#labelsOf(this.#classes, blocks);
    this.#columns.forEach((column, at) => {
      let first: number | undefined;
      for (const { values } of blocks.column(at)) {
        first ??= values[0];
        if (values.some((value) => value !== first)) return;
      }
      const what = this.#task === "regression" ? "target" : "label";
      throw new KasminaError(
        "invalid_data",
        `${this.#name}: the ${what} "${column}" is ${first} in every row: there is nothing to predict`,
      );
    });
    return { names: this.#columns };
  }

  #labelsOf(reader: ClassReader, blocks: ColumnBlocks): TableLabels {
    const { rows } = blocks;
    const { classNames, classOf } = reader.classes();
    if (classNames.length === rows && rows > 2) {
      const [column = ""] = this.#columns;
      throw new KasminaError(
        "invalid_data",
        `${this.#name}: the label "${column}" is another one in each of the ${rows} rows; a number is predicted with ?target=${column}`,
      );
    }
    const classes = blocks.values(0, new Int32Array(rows));
    classes.forEach((spelling, row) => {
      classes[row] = classOf(spelling);
    });
    return { names: classNames, classes };
  }
}

/** Reads a number, or a zero or one. */
function valueReader(
  column: string,
  task: "regression" | "multilabel",
  { name, missing, decimal }: How,
): (cell: string, row: number) => number {
  const numberIn = task === "regression" ? parseNumber : labelIn;
  return (raw, row) => {
    const cell = normalized(raw);
    const value = numberIn(decimal === "," ? cell.replace(",", ".") : cell);
    if (value !== undefined) return value;
    throw refused(placeOf(row, column, name), cell, task, missing);
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
  how: How,
): Float64Array {
  const readers = places.map((place) => valueReader(columns[place] ?? "", task, how));
  const values = new Float64Array(records.length * places.length);
  records.forEach((record, row) => {
    places.forEach((place, i) => {
      values[row * places.length + i] = readers[i]?.(record[place] ?? "", row) ?? 0;
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

/** Refuses names that could not be told apart where a row's labels stand in one cell. */
function checkLabelNames(names: readonly string[], name: string): void {
  const odd = names.filter((one) => one.includes(LABEL_SEPARATOR));
  if (odd.length > 0)
    throw new KasminaError(
      "invalid_data",
      `${name}: a label's name holds a semicolon: rename ${listed(odd)}`,
    );
}
