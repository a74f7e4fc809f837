/** The cells of one column, read one by one: numbers as they are, texts as the place of what they say; what is neither is refused. */
import { KasminaError } from "../base/errors.js";
import type { ColumnEncoding } from "../contracts/dataset.js";
import { isMissing, parseNumber } from "./labels.js";

/** A column of more different texts is no category: names, ids, sentences. */
export const CATEGORIES_MAX = 100;

const DECIMAL_COMMA = /^[+-]?\d+,\d+$/;
const DATE = /^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})([T ]\d{1,2}:.*)?$/;

export interface CellOptions {
  /** Names the data in errors. */
  readonly name: string;
  readonly missing: ReadonlySet<string>;
  readonly decimal: "." | ",";
  /** Whether a value may be missing: a number is its column's mean then, a text of no category. */
  readonly fill: boolean;
}

/** What a column turned out to hold. */
export interface Column {
  readonly name: string;
  /** Of a column of texts: what the number of a cell stands for. */
  readonly texts?: readonly string[];
}

/** Where a cell stands, for messages. */
export function placeOf(row: number, column: string, name: string): string {
  return `${name}: row ${row + 1}, column "${column}"`;
}

/** One reader a column. A column in which no cell is a number holds texts. */
export class ColumnReader {
  readonly #name: string;
  readonly #options: CellOptions;
  readonly #codes = new Map<string, number>();
  /** Whether it holds numbers or texts is known from the first cell that says something, or beforehand. */
  #holds: "numbers" | "texts" | undefined;
  readonly #isKnown: boolean;
  /** The first text, which is out of place where a number comes. */
  #first: { readonly row: number; readonly cell: string } | undefined;
  #areDates = true;

  /** @param known how the column was read when a network learned from it; default: that is yet to be found */
  constructor(name: string, options: CellOptions, known?: ColumnEncoding) {
    this.#name = name;
    this.#options = options;
    this.#isKnown = known !== undefined;
    if (known) this.#holds = "categories" in known ? "texts" : "numbers";
  }

  /**
   * @returns the number; of a text, its place in {@link column}; NaN for a value that is missing
   * @throws KasminaError `invalid_data` by row and column for a text among numbers, a missing value unless those are filled, too many texts
   */
  read(cell: string, row: number): number {
    if (this.#holds === "texts") return this.#readText(cell, row);
    const value = this.#numberIn(cell);
    if (value !== undefined) {
      this.#holds = "numbers";
      return value;
    }
    if (this.#isGap(cell, row)) return Number.NaN;
    if (this.#holds === "numbers" || DECIMAL_COMMA.test(cell)) throw this.#noNumber(cell, row);
    this.#holds = "texts";
    this.#first = { row, cell };
    return this.#readText(cell, row);
  }

  /** @throws KasminaError `invalid_data` for a column of dates */
  column(): Column {
    if (this.#holds !== "texts") return { name: this.#name };
    if (!this.#isKnown && this.#areDates) {
      const advice = `give it as numbers (days since some day, month, hour), or leave it out with ?drop=${this.#name}`;
      throw new KasminaError(
        "invalid_data",
        `${this.#options.name}: column "${this.#name}" holds dates: ${advice}`,
      );
    }
    return { name: this.#name, texts: [...this.#codes.keys()] };
  }

  #readText(cell: string, row: number): number {
    if (this.#isGap(cell, row)) return Number.NaN;
    const first = this.#first;
    // Nor does anybody mean a number with a decimal comma as a category.
    if (first && (this.#numberIn(cell) !== undefined || DECIMAL_COMMA.test(cell)))
      throw this.#noNumber(first.cell, first.row);
    const text = cell.normalize("NFC");
    if (!this.#isKnown) this.#areDates &&= DATE.test(cell);
    const code = this.#codes.get(text) ?? this.#codes.size;
    if (code >= CATEGORIES_MAX && !this.#isKnown) {
      if (!this.#areDates) throw this.#tooMany();
      // Dates are refused at the end, with other advice; more of them need not be remembered for that.
      if (code > CATEGORIES_MAX) return code;
    }
    this.#codes.set(text, code);
    return code;
  }

  #numberIn(cell: string): number | undefined {
    return parseNumber(this.#options.decimal === "," ? cell.replace(",", ".") : cell);
  }

  #isGap(cell: string, row: number): boolean {
    if (!isMissing(cell, this.#options.missing)) return false;
    if (this.#options.fill) return true;
    const what = cell === "" ? "empty" : `"${cell}" says that the value is missing`;
    const where = placeOf(row, this.#name, this.#options.name);
    throw new KasminaError("invalid_data", `${where}: ${what}; ?fill=mean fills such gaps`);
  }

  #noNumber(cell: string, row: number): KasminaError {
    const hint = DECIMAL_COMMA.test(cell) ? " (a decimal comma? Add ?decimal=,)" : "";
    const where = placeOf(row, this.#name, this.#options.name);
    return new KasminaError("invalid_data", `${where}: "${cell}" is not a number${hint}`);
  }

  #tooMany(): KasminaError {
    const advice = `an id, or a text? Leave it out with ?drop=${this.#name}`;
    return new KasminaError(
      "invalid_data",
      `${this.#options.name}: column "${this.#name}" has more than ${CATEGORIES_MAX} different texts: ${advice}`,
    );
  }
}
