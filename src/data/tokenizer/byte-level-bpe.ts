/**
 * A byte-level BPE: the tokenizer that a text gets of its own. Its vocabulary is the 256 bytes and what its merges make of them, in
 * order; so the merges alone say all. Written as a `tokenizer.json` that Hugging Face's tokenizers read.
 */
import { KasminaError } from "../../base/errors.js";
import { ALPHABET, BYTE_OF_CHARACTER, CHARACTER_OF_BYTE, piecesOf } from "./byte-level.js";
import { Heap } from "./heap.js";
import { learnMerges, type Merge } from "./learn-merges.js";
import type { Tokenizer } from "./tokenizer.js";

/** The bytes alone. */
const SIZE_MIN = ALPHABET.length;
const SIZE_MAX = 65_536;
/** Longer pieces are rarely met again. */
const KEPT_PIECE_LENGTH = 64;
/** Pieces that are kept, at most. */
const KEPT_PIECES = 2 ** 17;

export interface LearnOptions {
  /** Tokens of the vocabulary, 256 (bytes alone) .. 65,536; it gets fewer where no pair of neighbours occurs twice any more. */
  readonly vocabSize: number;
}

/**
 * A byte-level BPE learned from a text. The same text gives the same tokenizer.
 *
 * @throws KasminaError `invalid_argument` for a size out of range
 *
 * @example
 * ```ts
 * import { learnTokenizer } from "kasmina/data";
 *
 * const tokenizer = learnTokenizer("the cat and the dog", { vocabSize: 260 });
 * console.log(tokenizer.size, tokenizer.encode("the dog"));
 * ```
 */
export function learnTokenizer(text: string, { vocabSize }: LearnOptions): Tokenizer {
  if (!Number.isInteger(vocabSize) || vocabSize < SIZE_MIN || vocabSize > SIZE_MAX)
    throw new KasminaError(
      "invalid_argument",
      `vocabSize must be a whole number in ${SIZE_MIN}..${SIZE_MAX}, got ${vocabSize}`,
    );
  const merges = learnMerges(text, vocabSize - SIZE_MIN);
  return new ByteLevelBpe(merges, fileOf(merges));
}

/** What a file says besides its merges: all of it says how a text becomes pieces of bytes, and that nothing else happens to it. */
const FRAME = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
  post_processor: null,
  decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
};
const MODEL = {
  type: "BPE",
  dropout: null,
  unk_token: null,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: false,
  byte_fallback: false,
  ignore_merges: false,
};

function fileOf(merges: readonly Merge[]): string {
  const names = namesOf(merges);
  const model = {
    ...MODEL,
    vocab: Object.fromEntries(names.map((name, token) => [name, token])),
    // As texts: readers of before 2024 know no others.
    merges: merges.map(([left, right]) => `${names[left]} ${names[right]}`),
  };
  return `${JSON.stringify({ ...FRAME, model }, null, 2)}\n`;
}

/** Of each token, as files have it. */
function namesOf(merges: readonly Merge[]): string[] {
  const names = ALPHABET.map((byte) => CHARACTER_OF_BYTE[byte] ?? "");
  for (const [left, right] of merges) names.push(`${names[left]}${names[right]}`);
  return names;
}

/**
 * The tokenizer of a file that {@link learnTokenizer} could have written; undefined for every other one.
 * @param parsed what the text `json` says
 */
export function byteLevelBpeIn(parsed: unknown, json: string): Tokenizer | undefined {
  const { model, ...frame } = (parsed ?? {}) as { readonly model?: Readonly<Record<string, unknown>> };
  const { vocab, merges, ...rest } = model ?? {};
  if (!isEqual(frame, FRAME) || !isEqual(rest, MODEL) || !Array.isArray(merges)) return undefined;
  const found = mergesIn(merges);
  const expected = found && Object.fromEntries(namesOf(found).map((name, token) => [name, token]));
  return found && isEqual(vocab, expected) ? new ByteLevelBpe(found, json) : undefined;
}

function isEqual(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Of pairs as texts, `a b`, or as lists; undefined where one is made of what is not there yet. */
function mergesIn(pairs: readonly unknown[]): Merge[] | undefined {
  const numberOf = new Map(ALPHABET.map((byte, token) => [CHARACTER_OF_BYTE[byte] ?? "", token]));
  const merges: Merge[] = [];
  for (const pair of pairs) {
    const names: unknown = typeof pair === "string" ? pair.split(" ") : pair;
    if (!Array.isArray(names) || names.length !== 2) return undefined;
    const [left, right] = names.map((name) => numberOf.get(name));
    if (left === undefined || right === undefined) return undefined;
    numberOf.set(`${names[0]}${names[1]}`, SIZE_MIN + merges.length);
    merges.push([left, right]);
  }
  return merges;
}

/** Where two neighbours become one. */
interface Join {
  /** Of the merge; earlier ones come first. */
  readonly rank: number;
  readonly at: number;
  readonly left: number;
  readonly right: number;
}

class ByteLevelBpe implements Tokenizer {
  readonly size: number;
  readonly json: string;
  /** By the two numbers, `left * size + right`. */
  readonly #ranks: ReadonlyMap<number, number>;
  readonly #numberOfByte: Int32Array;
  /** Of each token. */
  readonly #bytes: readonly Uint8Array[];
  readonly #kept = new Map<string, Int32Array>();

  constructor(merges: readonly Merge[], json: string) {
    const names = namesOf(merges);
    this.size = names.length;
    this.json = json;
    this.#ranks = new Map(merges.map(([left, right], rank) => [left * this.size + right, rank]));
    this.#numberOfByte = new Int32Array(256);
    for (const [number, byte] of ALPHABET.entries()) this.#numberOfByte[byte] = number;
    this.#bytes = names.map((name) =>
      Uint8Array.from(name, (character) => BYTE_OF_CHARACTER.get(character) ?? 0),
    );
  }

  encode(text: string): Int32Array {
    const parts: Int32Array[] = [];
    let length = 0;
    for (const piece of piecesOf(text)) {
      const tokens = this.#tokensOf(piece);
      parts.push(tokens);
      length += tokens.length;
    }
    const all = new Int32Array(length);
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  decode(tokens: ArrayLike<number>): string {
    const bytes = Array.from(tokens, (token) => this.#bytes[token] ?? new Uint8Array());
    const all = new Uint8Array(bytes.reduce((length, { length: own }) => length + own, 0));
    let at = 0;
    for (const some of bytes) {
      all.set(some, at);
      at += some.length;
    }
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(all);
  }

  #tokensOf(piece: string): Int32Array {
    const kept = this.#kept.get(piece);
    if (kept) return kept;
    const bytes = new TextEncoder().encode(piece);
    const tokens = this.#merged(Int32Array.from(bytes, (byte) => this.#numberOfByte[byte] ?? 0));
    if (piece.length <= KEPT_PIECE_LENGTH && this.#kept.size < KEPT_PIECES) this.#kept.set(piece, tokens);
    return tokens;
  }

  /** Joins neighbours, those of the earliest merge first, of these the leftmost. Overwrites `tokens`. */
  #merged(tokens: Int32Array): Int32Array {
    const next = Int32Array.from(tokens, (_, i) => i + 1);
    const before = Int32Array.from(tokens, (_, i) => i - 1);
    const isGone = new Uint8Array(tokens.length);
    const joins = new Heap<Join>((a, b) => a.rank < b.rank || (a.rank === b.rank && a.at < b.at));
    const look = (at: number): void => {
      const [left = 0, right = 0] = [tokens[at], tokens[next[at] ?? 0]];
      const rank =
        at >= 0 && (next[at] ?? 0) < tokens.length ? this.#ranks.get(left * this.size + right) : undefined;
      if (rank !== undefined) joins.push({ rank, at, left, right });
    };
    for (let at = 0; at + 1 < tokens.length; at++) look(at);
    for (let join = joins.pop(); join; join = joins.pop()) {
      const { rank, at, left, right } = join;
      const other = next[at] ?? tokens.length;
      // One of the two has become part of another token meanwhile.
      if (isGone[at] || other >= tokens.length || tokens[at] !== left || tokens[other] !== right) continue;
      tokens[at] = SIZE_MIN + rank;
      isGone[other] = 1;
      const after = next[other] ?? tokens.length;
      next[at] = after;
      if (after < tokens.length) before[after] = at;
      look(before[at] ?? -1);
      look(at);
    }
    return tokens.filter((_, at) => isGone[at] === 0);
  }
}
