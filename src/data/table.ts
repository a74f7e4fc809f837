/** A table from text: which delimiter it has, one row a record, each column with a name of its own. */
import { parse } from "csv-parse/sync";
import { KasminaError, messageOf } from "../base/errors.js";
import { lineOf } from "./decode.js";

/** By the header, where `?delimiter=` does not say; the first of those that divide it most often. */
const DELIMITERS = [",", ";", "\t", "|"] as const;
const DELIMITER_NAMES: ReadonlyMap<string, string> = new Map([
  ["tab", "\t"],
  ["comma", ","],
  ["semicolon", ";"],
  ["pipe", "|"],
]);

/** Column names that a message lists, at most. */
const LISTED_MAX = 10;

export interface Table {
  readonly columns: readonly string[];
  /** One cell a column, without space around it. */
  readonly records: readonly (readonly string[])[];
}

/**
 * @param name names the data in errors
 * @param delimiter a character, or `tab`, `comma`, `semicolon`, `pipe`
 * @throws KasminaError `invalid_data` for an empty text, rows of different lengths, a column without a name or with the name
 * of another one
 */
export function parseTable(text: string, name: string, delimiter?: string): Table {
  const [header, ...records] = parseRecords(text, name, delimiterOf(text, name, delimiter));
  const columns = columnsOf(header, name);
  if (records.length === 0) throw noRows(name);
  return { columns, records };
}

/** @throws KasminaError `invalid_data` where there is no header, for a column without a name or with the name of another one */
export function columnsOf(header: readonly string[] | undefined, name: string): readonly string[] {
  if (!header) throw new KasminaError("invalid_data", `${name} is empty`);
  const columns = header.map(normalized);
  checkNames(columns, name);
  return columns;
}

export function noRows(name: string): KasminaError {
  return new KasminaError("invalid_data", `${name} has a header but no rows`);
}

/** One spelling for what looks the same: é as one character or as two. */
export function normalized(text: string): string {
  return text.trim().normalize("NFC");
}

/** `a, b, c`, shortened where there are many. */
export function listed(names: readonly string[]): string {
  const more = names.length - LISTED_MAX;
  return more > 0 ? `${names.slice(0, LISTED_MAX).join(", ")} and ${more} more` : names.join(", ");
}

/** Where in a table its text breaks off: row and column, or the line where it does so inside of quotes. */
export function placeIn(before: string, delimiter?: string): string {
  let records: string[][];
  try {
    records = parse(before, {
      relax_column_count: true,
      skip_empty_lines: true,
      delimiter: delimiterOf(before, "", delimiter),
    });
  } catch {
    return lineOf(before);
  }
  // After a line break or a delimiter the next cell has begun, which is empty so far.
  const inNewRow = /\n$/.test(before);
  const row = inNewRow ? records.length : Math.max(0, records.length - 1);
  const column = inNewRow ? 0 : Math.max(0, (records.at(-1)?.length ?? 1) - 1);
  return row === 0
    ? `header, column ${column + 1}`
    : `row ${row}, column "${records[0]?.[column] ?? column + 1}"`;
}

/** How csv-parse is to take a text apart. */
export const CELLS = { bom: true, trim: true, skip_empty_lines: true } as const;

function parseRecords(text: string, name: string, delimiter: string): string[][] {
  try {
    return parse(text, { ...CELLS, delimiter });
  } catch (error) {
    throw new KasminaError("invalid_data", `${name}: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * @param text up to the end of the header at least
 * @param asked as `?delimiter=` says it
 */
export function delimiterOf(text: string, name: string, asked: string | undefined): string {
  if (asked !== undefined) {
    const delimiter = DELIMITER_NAMES.get(asked) ?? asked;
    if (delimiter.length === 1 && !'"\r\n'.includes(delimiter)) return delimiter;
    throw new KasminaError(
      "invalid_argument",
      `${name}: delimiter must be one character, or one of ${[...DELIMITER_NAMES.keys()].join(", ")}`,
    );
  }
  const header = headerOf(text);
  const counts = DELIMITERS.map((delimiter) => header.split(delimiter).length);
  const most = counts.reduce((a, b) => Math.max(a, b));
  return DELIMITERS[counts.indexOf(most)] ?? ",";
}

/** The first line with something in it, without what is quoted. */
function headerOf(text: string): string {
  const start = text.search(/[^\s\ufeff]/);
  const end = text.indexOf("\n", Math.max(0, start));
  return text.slice(Math.max(0, start), end < 0 ? undefined : end).replace(/"[^"]*"/g, "");
}

/** @throws KasminaError `invalid_data` for a column without a name, or with that of another */
export function checkNames(columns: readonly string[], name: string): void {
  const nameless = columns.indexOf("");
  if (nameless >= 0) {
    const index = nameless === 0 ? "; a row index? Leave it out (pandas: index=False), or" : ":";
    throw new KasminaError("invalid_data", `${name}: column ${nameless + 1} has no name${index} give it one`);
  }
  const twice = columns.find((column, i) => columns.indexOf(column) !== i);
  if (twice !== undefined)
    throw new KasminaError("invalid_data", `${name}: two columns are called "${twice}": rename one of them`);
}
