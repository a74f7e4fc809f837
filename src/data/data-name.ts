/**
 * Names of data, as `--data` takes them: `<kind>`, or `<kind>:<path>`, and behind a question mark options,
 * `<key>=<value>` joined by `&`. A path may hold question marks and a value `+`, `&` and `?`: only `?key=` and `&key=` are read as
 * syntax, so that a column keeps the name that it has. `%26` and the like are read as in URLs.
 */

export interface DataName {
  readonly kind: string;
  /** Empty where there is none. */
  readonly path: string;
  readonly options: ReadonlyMap<string, string>;
}

/** Kinds of tables. */
export const TABLE_KINDS: ReadonlySet<string> = new Set(["csv", "jsonl", "parquet"]);

const OPTION = /^[a-z_]+=/;
/** Between two options. */
const SEPARATOR = /&(?=[a-z_]+=)/;

export function parseDataName(name: string): DataName {
  const mark = markOf(name);
  const body = mark < 0 ? name : name.slice(0, mark);
  const colon = body.indexOf(":");
  return {
    kind: colon < 0 ? body : body.slice(0, colon),
    path: colon < 0 ? "" : body.slice(colon + 1),
    options: mark < 0 ? new Map() : parseOptions(name.slice(mark + 1)),
  };
}

/** The same data by another path. */
export function withPath(name: string, path: string): string {
  const mark = markOf(name);
  const options = mark < 0 ? "" : name.slice(mark);
  return `${parseDataName(name).kind}:${path}${options}`;
}

/** The same data with another value of an option that it has. */
export function withOption(name: string, key: string, value: string): string {
  const mark = markOf(name);
  const parts = name.slice(mark + 1).split(SEPARATOR);
  const escaped = value.replaceAll("%", "%25").replaceAll("&", "%26");
  const changed = parts.map((part) => (part.startsWith(`${key}=`) ? `${key}=${escaped}` : part));
  return `${name.slice(0, mark + 1)}${changed.join("&")}`;
}

/** The same data with one more option. */
export function addedOption(name: string, key: string, value: string): string {
  return `${name}${markOf(name) < 0 ? "?" : "&"}${key}=${value}`;
}

/** Where the options begin: the last question mark that a key follows; −1 without. */
function markOf(name: string): number {
  for (let at = name.lastIndexOf("?"); at >= 0; at = at > 0 ? name.lastIndexOf("?", at - 1) : -1) {
    if (OPTION.test(name.slice(at + 1))) return at;
  }
  return -1;
}

function parseOptions(text: string): Map<string, string> {
  const options = new Map<string, string>();
  for (const part of text.split(SEPARATOR)) {
    const equals = part.indexOf("=");
    options.set(part.slice(0, equals), unescaped(part.slice(equals + 1)));
  }
  return options;
}

/** What is no escape stays as it is: `100%`. */
function unescaped(text: string): string {
  return text.replace(/(%[0-9a-f]{2})+/gi, (escapes) => {
    try {
      return decodeURIComponent(escapes);
    } catch {
      return escapes;
    }
  });
}
