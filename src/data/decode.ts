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
  try {
    return decoderOf(actual).decode(bytes);
  } catch (error) {
    throw new KasminaError("invalid_data", `${name}: ${problemOf(bytes, actual, locate)}`, { cause: error });
  }
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
