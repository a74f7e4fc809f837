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
  const records: Record<string, unknown>[] = [];
  text.split("\n").forEach((line, i) => {
    if (line.trim() === "") return;
    const value = jsonIn(line, `${name}: line ${i + 1}`);
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new KasminaError("invalid_data", `${name}: line ${i + 1} is no object: {"column": value, …}`);
    records.push(value as Record<string, unknown>);
  });
  return tableOf(records, name);
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
  const keys = Object.keys(first);
  const columns = keys.map(normalized);
  checkNames(columns, name);
  return {
    columns,
    records: records.map((record, row) => {
      const own = Object.keys(record);
      if (own.length !== keys.length || !keys.every((key) => Object.hasOwn(record, key)))
        throw new KasminaError(
          "invalid_data",
          `${name}: row ${row + 1} has the columns ${listed(own)}; those of row 1 are ${listed(keys)}`,
        );
      return keys.map((key) => cellOf(record[key], `${name}: row ${row + 1}, column "${normalized(key)}"`));
    }),
  };
}

function cellOf(value: unknown, where: string): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (typeof value === "string") return value.trim();
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean")
    return String(value);
  if (value instanceof Date) return value.toISOString();
  throw new KasminaError(
    "invalid_data",
    `${where} holds ${Array.isArray(value) ? "a list" : "an object"}: a table has plain values`,
  );
}
