/** Rows that a network has not learned from, read as those were that it learned from: nothing is fitted to them. */
import { KasminaError } from "../base/errors.js";
import { type ColumnEncoding, type ImageEncoding, type Rows, taskOf } from "../contracts/dataset.js";
import type { TargetScaling, TaskId } from "../contracts/tasks.js";
import type { CellOptions } from "./column-reader.js";
import { encodedTable } from "./columns.js";
import { type DataName, TABLE_KINDS } from "./data-name.js";
import { isMissing, MISSING_VALUES, parseNumber } from "./labels.js";
import { checkedName, openDataset, readTable, tableOptions } from "./open.js";
import { valuesIn } from "./outcomes.js";
import { scaledTargets } from "./scaling.js";
import { listed, normalized, type Table } from "./table.js";
import type { TableOptions } from "./table-options.js";
import { characterVocabulary, textInVocabulary } from "./text.js";
import { openTokenizer } from "./tokenizer/open-tokenizer.js";
import { scaledWeights, weightReader } from "./weights.js";

/** What a network takes, and how raw rows become that. */
export interface Preprocessing {
  /** Shape of one row. */
  readonly inputShape: readonly number[];
  readonly task: TaskId;
  readonly classes: number;
  /** What each class number or label stands for; of a text of characters, its vocabulary. */
  readonly classNames?: readonly string[];
  /** Of a regression. */
  readonly targets?: readonly TargetScaling[];
  /** Of two classes: the probability from which the second is said. */
  readonly threshold?: number | undefined;
  /** Of a table. */
  readonly columns?: readonly ColumnEncoding[];
  /** How the table that it learned from was read; what its own name says of a new one counts more. */
  readonly table?: TableOptions;
  /** Of images. */
  readonly images?: ImageEncoding;
  /** Of a text: its `tokenizer.json`, where it is no text of characters. */
  readonly tokenizer?: string;
}

export interface UnseenRows extends Pick<Rows, "inputs" | "count" | "weights" | "textBytes"> {
  /** As a dataset has them; left out where nobody asked for them. */
  readonly labels?: Rows["labels"];
  /** Columns of a table that the network does not know. */
  readonly ignored: readonly string[];
  /** Of images: the file of each row. */
  readonly files?: readonly string[];
}

/**
 * Every row of a table or a text, every image of a folder, in order; of data with a test part of their own (`mnist`, `idx:`, `spirals`), that part.
 *
 * @param name as `--data` takes it
 * @param needsLabels whether the rows are to be compared with their labels; without, a table may lack them
 * @throws KasminaError `invalid_argument` for a name that no reader takes, `invalid_data` naming row and column of what does not fit
 */
export async function readUnseen(
  name: string,
  how: Preprocessing,
  needsLabels: boolean,
): Promise<UnseenRows> {
  const spec = checkedName(name);
  if (TABLE_KINDS.has(spec.kind)) return tableRows(await readTable(spec), spec, how, needsLabels);
  if (how.columns)
    throw new KasminaError(
      "invalid_data",
      `${name} is no table: the network takes the columns ${namesOf(how)}`,
    );
  if (spec.kind === "images") return imageRows(spec, how, needsLabels);
  return spec.kind === "text" ? textRows(spec, how) : testRows(name, how);
}

function namesOf({ columns }: Preprocessing): string {
  return listed((columns ?? []).map(({ name }) => name));
}

function tableRows(table: Table, spec: DataName, how: Preprocessing, needsLabels: boolean): UnseenRows {
  const name = `${spec.kind}:${spec.path}`;
  const { columns: encodings } = how;
  if (!encodings)
    throw new KasminaError(
      "invalid_data",
      `${name}: the network did not learn from a table; it takes rows of [${how.inputShape}]`,
    );
  const { decimal = ".", missing: absent, ...options } = { ...how.table, ...tableOptions(spec) };
  const missing = new Set(absent ?? MISSING_VALUES);
  const places = placesOf(table, how, name);
  const inputs = encodedTable(table, places, encodings, { name, missing, decimal });
  const outcomes = outcomeColumns(how, options, name);
  const outcomeAt = outcomes.map((column) => table.columns.indexOf(normalized(column)));
  const weight = weightColumn(table, how, spec);
  const ignored = table.columns.filter(
    (column, at) => !outcomeAt.includes(at) && !places.includes(at) && column !== weight,
  );
  const rows = { inputs, count: table.records.length, ignored };
  if (!needsLabels) return rows;
  const lacking = outcomes.find((_, i) => (outcomeAt[i] ?? -1) < 0);
  if (lacking === undefined)
    return {
      ...{ ...rows, labels: labelsIn(table, outcomeAt, how, { missing, name, decimal }) },
      ...(weight !== undefined && { weights: weightsOf(table, weight, { missing, name, decimal }) }),
    };
  throw new KasminaError(
    "invalid_data",
    `${name}: there is no column "${lacking}" to compare with: add ?${OUTCOME_OPTIONS[how.task]}=<column>`,
  );
}

/** The column that weighs the rows: the one that the data's own name says, else that of the training rows where there is one. */
function weightColumn({ columns }: Table, { table }: Preprocessing, spec: DataName): string | undefined {
  const own = tableOptions(spec).weight;
  const column = own ?? table?.weight;
  if (column === undefined || columns.includes(normalized(column))) return column && normalized(column);
  if (own === undefined) return undefined;
  throw new KasminaError(
    "invalid_data",
    `${spec.kind}:${spec.path}: there is no column "${own}"; the columns are ${listed(columns)}`,
  );
}

function weightsOf({ columns, records }: Table, column: string, options: LabelOptions): Float32Array {
  const at = columns.indexOf(column);
  const weightOf = weightReader(column, options);
  const weights = Float64Array.from(records, (record, row) => weightOf(record[at] ?? "", row));
  return scaledWeights(weights, records.length, options.name);
}

/** The option that names the columns of what is predicted. */
const OUTCOME_OPTIONS: { readonly [T in TaskId]: keyof TableOptions } = {
  classification: "label",
  "next-token": "label",
  regression: "target",
  multilabel: "labels",
};

/** The columns that the network's answers are compared with: what the data's own name says, else what it learned from. */
function outcomeColumns(
  { task, classes, classNames, targets }: Preprocessing,
  options: TableOptions,
  name: string,
): readonly string[] {
  const { label = "label", labels, target } = options;
  if (task !== "regression" && task !== "multilabel") return [label];
  const given = task === "regression" ? target : labels;
  const known = task === "regression" ? targets?.map((one) => one.name) : classNames;
  const columns =
    given ?? (options.task === task && options.label !== undefined ? [options.label] : known) ?? [];
  if (columns.length === classes) return columns;
  throw new KasminaError(
    "invalid_argument",
    `${name}: the network predicts ${classes} ${OUTCOME_OPTIONS[task]} columns, ${columns.length} are named`,
  );
}

/** Where each of the network's columns stands. */
function placesOf({ columns }: Table, how: Preprocessing, name: string): number[] {
  const places = (how.columns ?? []).map((column) => columns.indexOf(column.name));
  const lacking = (how.columns ?? []).filter((_, i) => (places[i] ?? -1) < 0).map((column) => column.name);
  if (lacking.length === 0) return places;
  const what = lacking.length === 1 ? `column "${lacking[0]}" is` : `columns ${listed(lacking)} are`;
  throw new KasminaError("invalid_data", `${name}: ${what} missing; it has ${listed(columns)}`);
}

type LabelOptions = Pick<CellOptions, "missing" | "name" | "decimal">;

/** @param places of the columns */
function labelsIn(
  table: Table,
  places: readonly number[],
  how: Preprocessing,
  options: LabelOptions,
): Rows["labels"] {
  const { task, targets } = how;
  if (task === "multilabel") return Float32Array.from(valuesIn(table, places, task, options));
  if (task === "regression")
    return scaledTargets(valuesIn(table, places, task, options), targets ?? [{ mean: 0, deviation: 1 }]);
  return classesIn(table, places[0] ?? -1, how, options);
}

function classesIn(
  { columns, records }: Table,
  at: number,
  { classNames, classes }: Preprocessing,
  { missing, name }: LabelOptions,
): Int32Array {
  const names = classNames ?? Array.from({ length: classes }, (_, i) => String(i));
  const keyOf = keyFor(names);
  const numberOf = new Map(names.map((one, i) => [keyOf(one), i]));
  return Int32Array.from(records, (record, row) => {
    const cell = normalized(record[at] ?? "");
    const found = numberOf.get(keyOf(cell));
    if (found !== undefined) return found;
    const what = isMissing(cell, missing) ? "no label" : `"${cell}" is none of the classes ${listed(names)}`;
    throw new KasminaError("invalid_data", `${name}: row ${row + 1}, column "${columns[at]}": ${what}`);
  });
}

/** Labels that are numbers are compared as numbers, as they were when the classes were counted. */
function keyFor(names: readonly string[]): (cell: string) => string | number {
  if (!names.every((one) => parseNumber(one) !== undefined)) return (cell) => cell;
  return (cell) => {
    const value = parseNumber(cell);
    return value === undefined ? cell : value + 0;
  };
}

async function imageRows(
  spec: DataName,
  { images, classNames }: Preprocessing,
  needsLabels: boolean,
): Promise<UnseenRows> {
  if (!images || !classNames)
    throw new KasminaError("invalid_data", `images:${spec.path}: the network did not learn from images`);
  const { readImages } = await import("./images.node.js");
  const label = spec.options.get("label");
  const given = { ...(needsLabels && { classNames }), ...(label !== undefined && { label }) };
  const rows = await readImages(spec.path, images, given);
  return { ...rows, count: rows.files.length, ignored: [] };
}

async function textRows(spec: DataName, how: Preprocessing): Promise<UnseenRows> {
  const { classNames, inputShape, tokenizer } = how;
  const name = `text:${spec.path}`;
  const [length = 0] = inputShape;
  if (!(classNames || tokenizer) || inputShape.length !== 1)
    throw new KasminaError("invalid_data", `${name}: the network did not learn from a text`);
  const vocabulary = tokenizer
    ? await openTokenizer(tokenizer, "the network's tokenizer")
    : characterVocabulary(classNames ?? []);
  const { readTextNamed } = await import("./text.node.js");
  const text = await readTextNamed(spec.path, spec.options.get("encoding"));
  const rows = textInVocabulary(text, name, { vocabulary, length });
  return { ...rows, count: rows.inputs.length / length, ignored: [] };
}

async function testRows(name: string, how: Preprocessing): Promise<UnseenRows> {
  const dataset = await openDataset(name);
  const { test, inputShape, classes } = dataset;
  if (taskOf(dataset) !== how.task)
    throw new KasminaError(
      "invalid_data",
      `${name} is data of a ${taskOf(dataset)}, the network is one of a ${how.task}`,
    );
  if (String(inputShape) !== String(how.inputShape) || classes > how.classes) {
    const has = `${name} has rows of [${inputShape}] in ${classes} classes`;
    throw new KasminaError("invalid_data", `${has}, the network takes [${how.inputShape}] in ${how.classes}`);
  }
  const { inputs, scale, labels, count, weights } = test;
  const scaled =
    scale === 1 || inputs instanceof Uint8Array
      ? inputs
      : Float32Array.from(inputs, (value) => value * scale);
  return { inputs: scaled, labels, count, ignored: [], ...(weights && { weights }) };
}
