/** Tables of records: each row says by name what it holds. */
import { KasminaError, messageOf } from "../base/errors.js";
import { parseStrictJson } from "../base/json.js";
import { checkNames, listed, normalized, type Table } from "./table.js";

/**
 * JSON Lines: an object a line, of numbers, texts, booleans and null.
 *
 * @param name names the data in errors
 * @throws KasminaError `invalid_data` by line for what is no JSON, by row and column for other names or values than those of a table
 */
export function parseJsonLines(text: string, name: string): Table {
  const records: Readonly<Record<string, unknown>>[] = [];
  text.split("\n").forEach((line, i) => {
    const record = recordIn(line, i, name);
    if (record) records.push(record);
  });
  return tableOf(records, name);
}

/** @returns undefined for an empty line */
export function recordIn(
  line: string,
  number: number,
  name: string,
): Readonly<Record<string, unknown>> | undefined {
  if (line.trim() === "") return undefined;
  const value = jsonIn(line, `${name}: line ${number + 1}`);
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as Readonly<Record<string, unknown>>;
  throw new KasminaError("invalid_data", `${name}: line ${number + 1} is no object: {"column": value, …}`);
}

function jsonIn(line: string, where: string): unknown {
  try {
    return parseStrictJson(line);
  } catch (error) {
    throw new KasminaError("invalid_data", `${where} is not JSON: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * The columns are those of the first record. null, and a number that is not finite, is a missing value.
 *
 * @throws KasminaError `invalid_data` for no records, a record of other columns, a value that is no cell
 */
export function tableOf(records: readonly Readonly<Record<string, unknown>>[], name: string): Table {
  const [first] = records;
  if (!first) throw new KasminaError("invalid_data", `${name} has no rows`);
  const reader = new RecordReader(first, name);
  return { columns: reader.columns, records: records.map((record, row) => reader.cells(record, row)) };
}

/** Takes the cells out of records, one by one. */
export class RecordReader {
  readonly columns: readonly string[];
  readonly #keys: readonly string[];
  readonly #name: string;

  /** @param first the record that says which columns there are */
  constructor(first: Readonly<Record<string, unknown>>, name: string) {
    this.#name = name;
    this.#keys = Object.keys(first);
    this.columns = this.#keys.map(normalized);
    checkNames(this.columns, name);
  }

  /** @param row its number, for errors */
  cells(record: Readonly<Record<string, unknown>>, row: number): string[] {
    const keys = this.#keys;
    const own = Object.keys(record);
    if (own.length !== keys.length || !keys.every((key) => Object.hasOwn(record, key)))
      throw new KasminaError(
        "invalid_data",
        `${this.#name}: row ${row + 1} has the columns ${listed(own)}; those of row 1 are ${listed(keys)}`,
      );
    return keys.map((key) =>
      cellOf(record[key], () => `${this.#name}: row ${row + 1}, column "${normalized(key)}"`),
    );
  }
}

function cellOf(value: unknown, where: () => string): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (typeof value === "string") return value.trim();
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean")
    return String(value);
  if (value instanceof Date) return value.toISOString();
  throw new KasminaError(
    "invalid_data",
    `${where()} holds ${Array.isArray(value) ? "a list" : "an object"}: a table has plain values`,
  );
}
