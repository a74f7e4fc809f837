/** Text and names from outside: what may enter a name, and how the rest is shown. */

/** What a seed, a command, a run or a key may be called, wherever the name comes from. */
export const IDENTIFIER_RULE = "1 to 64 letters, digits, ., _ and -, the first a letter or a digit";

const IDENTIFIER = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** Whether a name keeps to {@link IDENTIFIER_RULE}: it can then stand in any path, file name, label, page or line. */
export function isIdentifier(text: string): boolean {
  return IDENTIFIER.test(text);
}

/** Longer lines than this are cut. */
const LINE_MAX = 2_000;

/** What is shown as it stands; most texts are. */
const PLAIN = /^[!-~](?:[ -~]{0,254}[!-~])?$/;

/** Control characters, line separators, and what turns the direction of writing or joins what is not there. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/**
 * A text from outside as one line that a terminal shows as it stands: line breaks become spaces, control characters their escapes
 * (`\x1b`), and what is longer than 2,000 characters is cut.
 */
export function printable(text: string): string {
  if (PLAIN.test(text)) return text;
  const line = text
    .slice(0, 2 * LINE_MAX)
    .split("\n")
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .join(" ");
  const shown = line.replace(UNPRINTABLE, escaped);
  return shown.length > LINE_MAX ? `${shown.slice(0, LINE_MAX)}…` : shown;
}

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\u{${hex}}`;
}

/** 1.56 GFLOP: floating point operations, with three digits. */
export function formatFlops(flops: number): string {
  for (const [unit, size] of [
    ["PFLOP", 1e15],
    ["TFLOP", 1e12],
    ["GFLOP", 1e9],
  ] as const) {
    if (flops >= size) return `${(flops / size).toPrecision(3)} ${unit}`;
  }
  return `${(flops / 1e6).toPrecision(3)} MFLOP`;
}
