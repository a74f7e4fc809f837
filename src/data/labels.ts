/** What a label column says: which cells are missing, which are equal, and the number of each class. */
import { KasminaError } from "../base/errors.js";

/**
 * Cells that say that a value is missing, where `?missing=` does not: what pandas reads as missing, and `?`, which the UCI
 * repository writes.
 */
export const MISSING_VALUES: readonly string[] = [
  ...["NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "-NaN", "-nan"],
  ...["NULL", "null", "None", "?"],
];

/** Whether a cell says nothing; an empty one never does. */
export function isMissing(cell: string, missing: ReadonlySet<string>): boolean {
  return cell === "" || missing.has(cell);
}

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** The number that a cell is, in decimal notation; undefined for anything else, infinities included. */
export function parseNumber(cell: string): number | undefined {
  const value = DECIMAL.test(cell) ? Number(cell) : Number.NaN;
  return Number.isFinite(value) ? value : undefined;
}

export interface Labels {
  readonly classNames: readonly string[];
  /** Class numbers, one a row. */
  readonly labels: Int32Array;
}

/** What a column of labels is called in errors. */
interface LabelColumn {
  /** Of the data. */
  readonly name: string;
  readonly column: string;
}

/**
 * Reads a label column cell by cell. Classes are in sorted order. Where all labels are numbers they are compared as numbers, so that 0 and
 * 0.0 are one class; whole numbers that a float64 cannot tell apart, such as long ids, stay texts.
 */
export class ClassReader {
  readonly #where: LabelColumn;
  readonly #missing: ReadonlySet<string>;
  readonly #codes = new Map<string, number>();

  constructor(missing: ReadonlySet<string>, where: LabelColumn) {
    this.#missing = missing;
    this.#where = where;
  }

  /**
   * @returns which spelling it is, for {@link classes} to say the class of
   * @throws KasminaError `invalid_data` for a missing label, by row and column
   */
  read(cell: string, row: number): number {
    if (isMissing(cell, this.#missing)) {
      const said = cell === "" ? "" : ` ("${cell}" says so; ?missing= names what does)`;
      const { name, column } = this.#where;
      throw new KasminaError("invalid_data", `${name}: row ${row + 1}, column "${column}": no label${said}`);
    }
    const code = this.#codes.get(cell) ?? this.#codes.size;
    if (code === this.#codes.size) this.#codes.set(cell, code);
    return code;
  }

  /** @throws KasminaError `invalid_data` for one class only */
  classes(): { readonly classNames: readonly string[]; readonly classOf: (spelling: number) => number } {
    const spellings = [...this.#codes.keys()];
    const classes = spellings.every(isExactNumber) ? numberClasses(spellings) : textClasses(spellings);
    if (classes.length < 2) {
      const { name, column } = this.#where;
      throw new KasminaError(
        "invalid_data",
        `${name}: the label "${column}" is ${classes[0]?.name} in every row: there is nothing to predict`,
      );
    }
    const classOf = new Int32Array(spellings.length);
    classes.forEach(({ spellings: own }, number) => {
      for (const spelling of own) classOf[this.#codes.get(spelling) ?? 0] = number;
    });
    return {
      classNames: classes.map((one) => one.name),
      classOf: (spelling) => classOf[spelling] ?? 0,
    };
  }
}

/** Of all cells of a column, as {@link ClassReader} reads them. */
export function classesOf(
  cells: readonly string[],
  missing: ReadonlySet<string>,
  where: LabelColumn,
): Labels {
  const reader = new ClassReader(missing, where);
  const spellings = Int32Array.from(cells, (cell, row) => reader.read(cell, row));
  const { classNames, classOf } = reader.classes();
  return { classNames, labels: spellings.map(classOf) };
}

interface LabelClass {
  readonly name: string;
  readonly spellings: readonly string[];
}

function isExactNumber(cell: string): boolean {
  const value = parseNumber(cell);
  return value !== undefined && (!Number.isInteger(value) || Number.isSafeInteger(value));
}

/** A class that is spelled in one way keeps its spelling: 01. */
function numberClasses(spellings: readonly string[]): LabelClass[] {
  const byValue = new Map<number, string[]>();
  for (const spelling of spellings) {
    // Minus zero is zero.
    const value = Number(spelling) + 0;
    byValue.set(value, [...(byValue.get(value) ?? []), spelling]);
  }
  return [...byValue]
    .sort(([a], [b]) => a - b)
    .map(([value, own]) => ({ name: own.length === 1 ? (own[0] ?? "") : String(value), spellings: own }));
}

function textClasses(spellings: readonly string[]): LabelClass[] {
  return [...spellings].sort().map((spelling) => ({ name: spelling, spellings: [spelling] }));
}
