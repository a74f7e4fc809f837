/**
 * What byte-level tokenizers begin with (Radford et al. 2019, GPT-2): a text is cut into pieces, about words with the space before them,
 * and each piece is its UTF-8 bytes, so that nothing is unknown. In files a byte stands as one visible character.
 * https://github.com/openai/gpt-2/blob/master/src/encoder.py; the pattern is that of Hugging Face's ByteLevel.
 */

/** `\s` as the reference has it: in JavaScript it holds U+FEFF and lacks U+0085. */
const SPACE = "\\p{White_Space}";
const PIECE = new RegExp(
  `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${SPACE}\\p{L}\\p{N}]+|${SPACE}+(?!\\P{White_Space})|${SPACE}+`,
  "gu",
);

/** In order; together they are the text. */
export function* piecesOf(text: string): Generator<string> {
  for (const [piece] of text.matchAll(PIECE)) yield piece;
}

/** Bytes that are visible characters of Latin-1 stand for themselves; the others are moved beyond it, in order. */
function visibleBytes(): readonly string[] {
  const isVisible = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad && byte <= 0xff);
  let moved = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isVisible(byte) ? byte : moved++));
}

/** The character that a byte stands as. */
export const CHARACTER_OF_BYTE: readonly string[] = visibleBytes();

/** The byte that a character stands for. */
export const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = new Map(
  CHARACTER_OF_BYTE.map((character, byte) => [character, byte]),
);

/** All 256 bytes in the order of their characters, which is that of their numbers in a vocabulary. */
export const ALPHABET: readonly number[] = CHARACTER_OF_BYTE.map((_, byte) => byte).sort(
  (a, b) => (CHARACTER_OF_BYTE[a] ?? "").charCodeAt(0) - (CHARACTER_OF_BYTE[b] ?? "").charCodeAt(0),
);
