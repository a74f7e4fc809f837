/** How a table is to be read: which columns are inputs, which are to be predicted, what its cells mean and which rows serve what. */
import { KasminaError } from "../base/errors.js";
import type { TaskId } from "../contracts/tasks.js";
import { listed, normalized } from "./table.js";

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
  /** Column of a group: no group is in two splits. It is no input. */
  readonly group?: string;
  /** Column of a number or a date by which rows are ordered: the latest are the test set, those before them are held out. It is no input. */
  readonly time?: string;
  /** Column of how much each row counts: numbers of 0 or more. It is no input. */
  readonly weight?: string;
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

/** Where the columns of what is to be predicted stand. */
export function outcomePlaces(
  columns: readonly string[],
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

/** All columns but the label's, those that rows are divided or weighed by, and those that are left out. */
export function inputPlaces(
  columns: readonly string[],
  outcomeAt: readonly number[],
  name: string,
  { drop = [], group, time, weight, task }: TableOptions & Pick<Outcome, "task">,
): number[] {
  const dropped = [...drop, group, time, weight].flatMap((column) =>
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
