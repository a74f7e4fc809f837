/** Text from bytes: a byte order mark says which encoding it is, else `?encoding=` does, else it is UTF-8; nothing is guessed or replaced. */
import { KasminaError } from "../base/errors.js";

/** As the Encoding standard names them (https://encoding.spec.whatwg.org), for messages. */
export const ENCODING_EXAMPLES = "utf-8, utf-16le, utf-16be, latin1, windows-1252";

const MARKS: readonly (readonly [encoding: string, mark: readonly number[]])[] = [
  ["utf-8", [0xef, 0xbb, 0xbf]],
  ["utf-16le", [0xff, 0xfe]],
  ["utf-16be", [0xfe, 0xff]],
];

const REPLACEMENT = "\ufffd";
/** Bytes that are looked at for what a text without a mark may be. */
const SAMPLE_BYTES = 4_096;

/** Where bytes stop to be UTF-8. */
interface BadByte {
  /** The text before it. */
  readonly before: string;
  readonly byte: number;
}

/**
 * @param name names the data in errors
 * @param encoding a label of the Encoding standard; a byte order mark of another encoding is an error
 * @param locate says where a bad byte is; default: its line, and its place in the line
 * @throws KasminaError `invalid_argument` for an unknown encoding, `invalid_data` for bytes that are not in the encoding
 */
export function decodeText(
  bytes: Uint8Array,
  name: string,
  encoding?: string,
  locate: (before: string) => string = lineOf,
): string {
  const actual = encodingOf(bytes, name, encoding);
  try {
    return decoderOf(actual).decode(bytes);
  } catch (error) {
    throw new KasminaError("invalid_data", `${name}: ${problemOf(bytes, actual, locate)}`, { cause: error });
  }
}

/** Decodes a text that comes in pieces, as {@link decodeText} does a whole one. */
export class TextDecoding {
  readonly #name: string;
  readonly #asked: string | undefined;
  /** The first bytes, until there are enough of them to say what they are. */
  #start: Uint8Array | undefined = new Uint8Array();
  #encoding = "";
  #decoder: TextDecoder | undefined;
  /** Line and column of where the text is so far, counted from 0. */
  #line = 0;
  #column = 0;
  /** The last bytes, which may be the beginning of a character. */
  #tail = new Uint8Array();

  /**
   * @param name names the data in errors
   * @param encoding a label of the Encoding standard
   */
  constructor(name: string, encoding?: string) {
    this.#name = name;
    this.#asked = encoding;
  }

  /** @throws KasminaError as {@link decodeText} does, by line and column */
  decode(bytes: Uint8Array): string {
    if (!this.#start) return this.#decode(bytes, true);
    this.#start = joined(this.#start, bytes);
    return this.#start.length < SAMPLE_BYTES ? "" : this.#begin(this.#start, true);
  }

  /** What is left, once all bytes have come. */
  end(): string {
    return this.#start ? this.#begin(this.#start, false) : this.#decode(new Uint8Array(), false);
  }

  #begin(start: Uint8Array, stream: boolean): string {
    this.#start = undefined;
    this.#encoding = encodingOf(start, this.#name, this.#asked);
    this.#decoder = decoderOf(this.#encoding);
    return this.#decode(start, stream);
  }

  #decode(bytes: Uint8Array, stream: boolean): string {
    try {
      const text = this.#decoder?.decode(bytes, { stream }) ?? "";
      this.#advance(text, bytes);
      return text;
    } catch (error) {
      const locate = (before: string): string => this.#placeAfter(before);
      const problem = problemOf(joined(this.#tail, bytes), this.#encoding, locate);
      throw new KasminaError("invalid_data", `${this.#name}: ${problem}`, { cause: error });
    }
  }

  #advance(text: string, bytes: Uint8Array): void {
    this.#tail = unfinished(joined(this.#tail, bytes));
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) this.#line++;
    const lineStart = text.lastIndexOf("\n") + 1;
    this.#column = text.length - lineStart + (lineStart === 0 ? this.#column : 0);
  }

  #placeAfter(text: string): string {
    const lines = text.split("\n");
    const column = (lines.at(-1)?.length ?? 0) + (lines.length === 1 ? this.#column : 0);
    return `line ${this.#line + lines.length}, column ${column + 1}`;
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (first.length === 0) return second;
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

/** The bytes at the end that are the beginning of a character in UTF-8, of which more is to come. */
function unfinished(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const from = Math.max(0, bytes.length - 3);
  // The last byte that begins a character, and how many bytes that has.
  const at = from + bytes.subarray(from).findLastIndex((byte) => byte < 0x80 || byte >= 0xc0);
  const lead = bytes[at] ?? 0;
  const length = [0xf0, 0xe0, 0xc0].findIndex((least) => lead >= least);
  const whole = length < 0 || at < from || at + 4 - length <= bytes.length;
  return bytes.slice(whole ? bytes.length : at);
}

/**
 * @param bytes the first ones
 * @throws KasminaError `invalid_data` for a byte order mark of another encoding than asked for, or what looks like UTF-16 without one
 */
function encodingOf(bytes: Uint8Array, name: string, encoding: string | undefined): string {
  const marked = MARKS.find(([, mark]) => mark.every((byte, i) => bytes[i] === byte))?.[0];
  const asked = encoding === undefined ? undefined : decoderOf(encoding).encoding;
  if (marked && asked && marked !== asked && !(asked === "utf-16le" && marked === "utf-16be")) {
    throw new KasminaError("invalid_data", `${name} begins with the mark of ${marked}, not of ${asked}`);
  }
  const actual = marked ?? asked ?? "utf-8";
  if (!marked && actual === "utf-8" && looksLikeUtf16(bytes)) {
    throw new KasminaError(
      "invalid_data",
      `${name}: the bytes look like UTF-16: add ?encoding=utf-16le (or utf-16be)`,
    );
  }
  return actual;
}

/** @throws KasminaError `invalid_argument` for a label that the Encoding standard does not have */
function decoderOf(encoding: string): TextDecoder {
  try {
    return new TextDecoder(encoding, { fatal: true });
  } catch (error) {
    throw new KasminaError(
      "invalid_argument",
      `unknown encoding "${encoding}": use one of ${ENCODING_EXAMPLES}, or another of the Encoding standard`,
      { cause: error },
    );
  }
}

function problemOf(bytes: Uint8Array, encoding: string, locate: (before: string) => string): string {
  if (encoding !== "utf-8") return `the bytes are not ${encoding}`;
  const bad = findBadByte(bytes);
  const hex = bad.byte.toString(16).padStart(2, "0");
  const hint = "add ?encoding=latin1, or what it is in";
  return `${locate(bad.before)}: byte 0x${hex} is not UTF-8 (${hint})`;
}

/** Every second byte of Latin text in UTF-16 is 0, and no byte of a table in UTF-8 is. */
function looksLikeUtf16(bytes: Uint8Array): boolean {
  const sample = bytes.subarray(0, SAMPLE_BYTES);
  return sample.filter((byte) => byte === 0).length > sample.length / 4;
}

/** The first byte that UTF-8 does not allow: where a decoder that replaces wrote a U+FFFD that the bytes do not hold. */
function findBadByte(bytes: Uint8Array): BadByte {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  const encoder = new TextEncoder();
  let offset = 0;
  let from = 0;
  for (;;) {
    const at = text.indexOf(REPLACEMENT, from);
    if (at < 0) return { before: text, byte: bytes.at(-1) ?? 0 };
    offset += encoder.encode(text.slice(from, at)).length;
    const isReal = bytes[offset] === 0xef && bytes[offset + 1] === 0xbf && bytes[offset + 2] === 0xbd;
    if (!isReal) return { before: text.slice(0, at), byte: bytes[offset] ?? 0 };
    offset += 3;
    from = at + 1;
  }
}

/** Where a text breaks off. */
export function lineOf(before: string): string {
  const lineStart = before.lastIndexOf("\n") + 1;
  const line = before.split("\n").length;
  return `line ${line}, column ${before.length - lineStart + 1}`;
}
