/**
 * A table becomes a dataset, row by row: its cells become numbers as they come, and once all have come it is known which rows serve
 * what, how columns are encoded, and what the inputs are. Whether numbers lie in memory or in a file makes no difference to any bit.
 */
import { KasminaError } from "../base/errors.js";
import type { Dataset, RowsIn } from "../contracts/dataset.js";
import type { TargetScaling } from "../contracts/tasks.js";
import { ColumnBlocks, MemoryPages, type Pages } from "./column-blocks.js";
import { type CellOptions, ColumnReader } from "./column-reader.js";
import { encodingOf, RowEncoder } from "./columns.js";
import { isMissing, MISSING_VALUES, parseNumber } from "./labels.js";
import { OutcomesReader, type TableLabels } from "./outcomes.js";
import { targetScaling } from "./scaling.js";
import type { Groups } from "./split.js";
import { listed, normalized } from "./table.js";
import { inputPlaces, type Outcome, outcomeOf, outcomePlaces, type TableOptions } from "./table-options.js";
import { type DividedBy, divideTable, pick, type TableParts } from "./table-split.js";
import { scaledWeights, weightReader } from "./weights.js";

/** Where the numbers of a table lie while it is read, and its inputs after. */
export interface Medium<Inputs> {
  /** Numbers in a block; left out: half a megabyte of them. */
  readonly blockValues?: number | undefined;
  pages(): Pages;
  /** @param width inputs of a row */
  inputs(rows: number, width: number): InputWriter<Inputs>;
}

export interface InputWriter<Inputs> {
  /** Inputs of the next row; they are the caller's again afterwards. */
  write(row: Float32Array): void;
  /** All of them, once all are written. */
  end(): Inputs;
}

export const inMemory: Medium<Float32Array> = {
  pages: () => new MemoryPages(),
  inputs: (rows, width) => {
    const inputs = new Float32Array(rows * width);
    let at = 0;
    return {
      write: (row) => {
        inputs.set(row, at);
        at += row.length;
      },
      end: () => inputs,
    };
  },
};

/** What becomes the numbers of one column of the blocks. */
interface CellReader {
  /** Where its cells stand in a record. */
  readonly place: number;
  read(cell: string, row: number): number;
}

type Part = keyof TableParts;
const PARTS = ["train", "heldOut", "test"] as const satisfies readonly Part[];

/** One use: all rows, then the dataset. */
export class TableReader<Inputs> {
  readonly #name: string;
  readonly #options: TableOptions;
  readonly #outcome: Outcome;
  readonly #cellsAre: CellOptions;
  readonly #medium: Medium<Inputs>;
  readonly #outcomes: OutcomesReader;
  readonly #inputs: readonly ColumnReader[];
  readonly #divider: { readonly cells: CellReader; by(column: number): DividedBy } | undefined;
  readonly #weigher: CellReader | undefined;
  /** Outcomes, then inputs, then how much rows count, then what they are divided by. */
  readonly #cells: readonly CellReader[];
  readonly #blocks: ColumnBlocks;
  #ownRows: number | undefined;

  /**
   * @param columns their names, in the order of each record's cells
   * @param name names the data in errors: `csv:iris.csv`
   * @throws KasminaError `invalid_argument` for options that contradict each other, `invalid_data` for columns that are not there
   */
  constructor(columns: readonly string[], name: string, options: TableOptions, medium: Medium<Inputs>) {
    this.#name = name;
    this.#options = options;
    this.#medium = medium;
    this.#outcome = outcomeOf(options, name);
    const { task } = this.#outcome;
    const outcomeAt = outcomePlaces(columns, this.#outcome, name, options);
    this.#cellsAre = {
      name,
      missing: new Set(options.missing ?? MISSING_VALUES),
      decimal: options.decimal ?? ".",
      fill: options.fill === "mean",
    };
    this.#weigher = this.#weigherOf(columns);
    const inputsAt = inputPlaces(columns, outcomeAt, name, { ...options, task });
    const names = outcomeAt.map((at) => columns[at] ?? "");
    this.#outcomes = new OutcomesReader(names, task, this.#cellsAre);
    this.#inputs = inputsAt.map((at) => new ColumnReader(columns[at] ?? "", this.#cellsAre));
    this.#divider = this.#dividerOf(columns);
    this.#cells = [
      ...cellReaders(this.#outcomes.readers, outcomeAt),
      ...cellReaders(this.#inputs, inputsAt),
      ...(this.#weigher ? [this.#weigher] : []),
      ...(this.#divider ? [this.#divider.cells] : []),
    ];
    this.#blocks = new ColumnBlocks(this.#cells.length, medium.pages(), medium.blockValues);
  }

  /** @throws KasminaError `invalid_data` by row and column for a cell that cannot be used */
  add(record: readonly string[]): void {
    const row = this.#blocks.rows;
    const cells = this.#cells;
    for (let i = 0; i < cells.length; i++) {
      const reader = cells[i];
      if (reader) this.#blocks.set(i, reader.read(record[reader.place] ?? "", row));
    }
    this.#blocks.endRow();
  }

  /** The rows that come from now on are the test set. */
  beginTest(): void {
    this.#ownRows = this.#blocks.rows;
  }

  /** @throws KasminaError `invalid_data` for what the rows say together: too few of them, a target that does not vary … */
  dataset(): Dataset<Inputs> {
    const labels = this.#outcomes.labels(this.#blocks);
    const columns = this.#inputs.map((reader) => reader.column());
    const parts = this.#divide(labels);
    const partOf = partsByRow(parts, this.#blocks.rows);
    const first = this.#outcomes.readers.length;
    const encodings = columns.map((column, i) =>
      encodingOf(column, () => this.#trainingValues(first + i, partOf), this.#cellsAre),
    );
    const { task } = this.#outcome;
    const targets =
      task === "regression"
        ? labels.names.map((target, i) =>
            targetScaling(() => this.#trainingValues(i, partOf), target, this.#name),
          )
        : undefined;
    const encoder = new RowEncoder(columns, encodings, this.#name);
    const inputs = this.#encoded(encoder, first, parts, partOf);
    const weights = this.#weights(first + this.#inputs.length, parts);
    const rowsOf = (part: Part): RowsIn<Inputs> => ({
      inputs: inputs[part],
      scale: 1,
      labelShape: labels.classes ? [] : [labels.names.length],
      labels: labels.classes
        ? pick(labels.classes, parts[part])
        : this.#values(parts[part], partOf, PARTS.indexOf(part), targets),
      count: parts[part].length,
      ...(weights && { weights: weights[part] }),
    });
    return {
      name: this.#name,
      inputShape: [encoder.width],
      inputDType: "float32",
      // A classification is what data are for where nothing else is said.
      ...(task !== "classification" && { task }),
      classes: labels.names.length,
      ...(targets ? { targets } : { classNames: labels.names }),
      columns: encodings,
      train: rowsOf("train"),
      heldOut: rowsOf("heldOut"),
      test: rowsOf("test"),
    };
  }

  /** How much the rows of each part count; undefined where all count alike. @param column of the blocks */
  #weights(column: number, parts: TableParts): { readonly [P in Part]: Float32Array } | undefined {
    if (!this.#weigher) return undefined;
    const all = this.#blocks.values(column, new Float64Array(this.#blocks.rows));
    const of = (part: Part): Float32Array =>
      scaledWeights(
        Float64Array.from(parts[part], (row) => all[row] ?? 0),
        parts[part].length,
        `${this.#name}, ${part}`,
      );
    return { train: of("train"), heldOut: of("heldOut"), test: of("test") };
  }

  #divide({ classes }: TableLabels): TableParts {
    const { rows } = this.#blocks;
    const { testFraction, splitSeed } = this.#options;
    const by = this.#divider?.by(this.#cells.length - 1) ?? { strata: classes ?? new Int32Array(rows) };
    return divideTable(by, this.#name, { own: this.#ownRows ?? rows, all: rows, testFraction, splitSeed });
  }

  /** How much rows count. */
  #weigherOf(columns: readonly string[]): CellReader | undefined {
    const { weight } = this.#options;
    if (weight === undefined) return undefined;
    const place = this.#placeOf(columns, weight);
    return { place, read: weightReader(columns[place] ?? "", this.#cellsAre) };
  }

  /** What rows are divided by, but for classes. */
  #dividerOf(columns: readonly string[]) {
    const { group, time } = this.#options;
    if (group !== undefined && time !== undefined)
      throw new KasminaError("invalid_argument", `${this.#name}: give group or time, not both`);
    if (group !== undefined) {
      const codes = new Map<string, number>();
      return {
        cells: { place: this.#placeOf(columns, group), read: (cell: string) => groupCode(codes, cell) },
        by: (column: number): DividedBy => ({ group, groups: this.#groups(column, [...codes.keys()]) }),
      };
    }
    if (time === undefined) return undefined;
    return {
      cells: {
        place: this.#placeOf(columns, time),
        read: (cell: string, row: number) => momentIn(cell, row, time, this.#cellsAre),
      },
      by: (column: number): DividedBy => ({
        moments: this.#blocks.values(column, new Float64Array(this.#blocks.rows)),
      }),
    };
  }

  #groups(column: number, names: readonly string[]): Groups {
    return { codes: this.#blocks.values(column, new Int32Array(this.#blocks.rows)), names };
  }

  #placeOf(columns: readonly string[], column: string): number {
    const at = columns.indexOf(normalized(column));
    if (at >= 0) return at;
    throw new KasminaError(
      "invalid_data",
      `${this.#name}: there is no column "${column}"; the columns are ${listed(columns)}`,
    );
  }

  /** Of a column, in the order of the rows. */
  *#trainingValues(column: number, partOf: Uint8Array): Iterable<Float64Array> {
    for (const { from, values } of this.#blocks.column(column))
      yield values.filter((_, row) => partOf[from + row] === 0);
  }

  /** Numbers to be predicted, scaled, or zeros and ones, row after row. */
  #values(
    rows: Int32Array,
    partOf: Uint8Array,
    part: number,
    targets: readonly TargetScaling[] | undefined,
  ): Float32Array {
    const width = this.#outcomes.readers.length;
    const labels = new Float32Array(rows.length * width);
    for (let column = 0; column < width; column++) {
      const { mean, deviation } = targets?.[column] ?? { mean: 0, deviation: 1 };
      let at = column;
      for (const { from, values } of this.#blocks.column(column))
        values.forEach((value, row) => {
          if (partOf[from + row] !== part) return;
          labels[at] = (value - mean) / deviation;
          at += width;
        });
    }
    return labels;
  }

  /** The inputs of each part; rows keep their order within it. */
  #encoded(
    encoder: RowEncoder,
    first: number,
    parts: TableParts,
    partOf: Uint8Array,
  ): { readonly [P in Part]: Inputs } {
    const writers = PARTS.map((part) => this.#medium.inputs(parts[part].length, encoder.width));
    const inputs = new Float32Array(encoder.width);
    for (const block of this.#blocks.blocks()) {
      for (let row = 0; row < block.rows; row++) {
        const number = block.from + row;
        encoder.encode((column) => block.at(first + column, row), number, inputs.fill(0), 0);
        writers[partOf[number] ?? 0]?.write(inputs);
      }
    }
    const [train, heldOut, test] = writers.map((writer) => writer.end());
    return { train, heldOut, test } as { readonly [P in Part]: Inputs };
  }
}

function cellReaders(
  readers: readonly { read(cell: string, row: number): number }[],
  places: readonly number[],
): CellReader[] {
  return readers.map((reader, i) => ({
    place: places[i] ?? -1,
    read: (cell, row) => reader.read(cell, row),
  }));
}

/** Of each row: which of the parts it is in. */
function partsByRow(parts: TableParts, rows: number): Uint8Array {
  const partOf = new Uint8Array(rows);
  PARTS.forEach((part, number) => {
    for (const row of parts[part]) partOf[row] = number;
  });
  return partOf;
}

function groupCode(codes: Map<string, number>, cell: string): number {
  const name = normalized(cell);
  const code = codes.get(name) ?? codes.size;
  if (code === codes.size) codes.set(name, code);
  return code;
}

/** A number, or a date that begins with the year. */
function momentIn(raw: string, row: number, column: string, { name, missing }: CellOptions): number {
  const cell = normalized(raw);
  const value = parseNumber(cell) ?? (/^\d{4}-\d{2}/.test(cell) ? Date.parse(cell) : Number.NaN);
  if (Number.isFinite(value)) return value;
  const what = isMissing(cell, missing)
    ? "no time"
    : `"${cell}", which is no number and no date like 2024-03-01`;
  throw new KasminaError("invalid_data", `${name}: row ${row + 1}, column "${column}" has ${what}`);
}
