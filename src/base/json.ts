/**
 * JSON from outside, read strictly, and JSON of our own that keeps NaN and infinities, which plain JSON turns into null.
 *
 * JSON.parse keeps the last of two equal keys and says nothing, so that two readers of one file can see two different things;
 * here a duplicate key is an error, and so are the key `__proto__` and text nested deeper than anything we write.
 */
import { KasminaError, messageOf } from "./errors.js";

const DEPTH_MAX = 32;

/**
 * The value of a JSON text (RFC 8259).
 * @throws KasminaError `corrupt` for a syntax error, a duplicate key, the key `__proto__`, or nesting over 32 levels
 */
export function parseStrictJson(text: string): unknown {
  checkKeys(text);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new KasminaError("corrupt", `not JSON: ${messageOf(error)}`, { cause: error });
  }
}

/** Walks the brackets and strings of `text`; what is no JSON at all is left to JSON.parse. */
function checkKeys(text: string): void {
  const open: Set<string>[] = [];
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === "{" || char === "[") {
      if (open.push(new Set()) > DEPTH_MAX)
        throw new KasminaError("corrupt", `JSON nested deeper than ${DEPTH_MAX}`);
    } else if (char === "}" || char === "]") {
      open.pop();
    } else if (char === '"') {
      const end = endOfString(text, at);
      if (isKey(text, end)) addKey(open.at(-1), text.slice(at, end));
      at = end - 1;
    }
  }
}

/** The index after the closing quote of the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return Math.min(at + 1, text.length);
}

function isKey(text: string, after: number): boolean {
  let at = after;
  while (at < text.length && " \t\n\r".includes(text[at] ?? "")) at++;
  return text[at] === ":";
}

function addKey(keys: Set<string> | undefined, quoted: string): void {
  const key = unquote(quoted);
  // Readers that copy by assignment, or guard against it, drop this key without a word.
  if (key === "__proto__") throw new KasminaError("corrupt", "key __proto__ in JSON");
  if (keys?.has(key)) throw new KasminaError("corrupt", `duplicate key ${quoted.slice(0, 80)} in JSON`);
  keys?.add(key);
}

/** Two spellings of one key ("a" and "\u0061") are the same key. */
function unquote(quoted: string): string {
  try {
    return String(JSON.parse(quoted));
  } catch (error) {
    throw new KasminaError("corrupt", `not a JSON string: ${quoted.slice(0, 80)}`, { cause: error });
  }
}

/** The value as JSON text. */
export function toJsonText(value: object): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === "number" && !Number.isFinite(part) ? { $number: String(part) } : part,
  );
}

/** The value that {@link toJsonText} wrote. @throws SyntaxError for text that is no JSON */
export function fromJsonText(text: string): unknown {
  // To look at each part takes three times as long as to parse.
  if (!text.includes('{"$number":')) return JSON.parse(text);
  return JSON.parse(text, (_, part: unknown) =>
    typeof part === "object" && part !== null && "$number" in part ? Number(part.$number) : part,
  );
}
