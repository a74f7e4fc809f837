/**
 * Learns a byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909): of all pairs of neighbours the most frequent one becomes a token,
 * again and again. Of equally frequent ones it is that of the smaller numbers, as in Hugging Face's `BpeTrainer`. Each merge looks at the
 * pieces that hold its pair alone, and changes the counts of the pairs beside it.
 */
import { ALPHABET, piecesOf } from "./byte-level.js";
import { Heap } from "./heap.js";

/** Numbers of the two tokens that become one. */
export type Merge = readonly [left: number, right: number];

/** A pair that occurs once says nothing of a language. */
const OCCURRENCES_MIN = 2;
/** Above every number of a token, and small enough for a pair to be one exact number. */
const PAIR_BASE = 2 ** 24;

/** A piece of text, how often it occurs, and of which tokens it is by now. */
interface Piece {
  readonly count: number;
  tokens: Int32Array;
}

/**
 * @param merges at most so many; fewer where no pair occurs twice any more
 */
export function learnMerges(text: string, merges: number): Merge[] {
  const pieces = countedPieces(text);
  const pairs = new PairCounts();
  for (const [at, { tokens, count }] of pieces.entries())
    for (let i = 1; i < tokens.length; i++) pairs.add(tokens[i - 1] ?? 0, tokens[i] ?? 0, count, at);
  const learned: Merge[] = [];
  while (learned.length < merges) {
    const best = pairs.takeBest();
    if (!best) break;
    const made = ALPHABET.length + learned.length;
    for (const at of best.places) mergeIn(pieces[at] as Piece, at, best.pair, made, pairs);
    pairs.forget(best.pair);
    learned.push(best.pair);
  }
  return learned;
}

function countedPieces(text: string): Piece[] {
  const counts = new Map<string, number>();
  for (const piece of piecesOf(text)) counts.set(piece, (counts.get(piece) ?? 0) + 1);
  const numberOfByte = new Int32Array(256);
  for (const [number, byte] of ALPHABET.entries()) numberOfByte[byte] = number;
  const encoder = new TextEncoder();
  return Array.from(counts, ([piece, count]) => ({
    count,
    tokens: Int32Array.from(encoder.encode(piece), (byte) => numberOfByte[byte] ?? 0),
  }));
}

/** Puts `made` in the place of each of its pairs, from left to right, and counts what is beside it anew. */
function mergeIn(piece: Piece, at: number, [left, right]: Merge, made: number, pairs: PairCounts): void {
  const { tokens, count } = piece;
  const merged = new Int32Array(tokens.length);
  let length = 0;
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i] ?? 0;
    if (token !== left || i + 1 === tokens.length || tokens[i + 1] !== right) {
      merged[length++] = token;
      continue;
    }
    const before = length > 0 ? merged[length - 1] : undefined;
    const after = tokens[i + 2];
    if (before !== undefined) {
      pairs.add(before, left, -count, at);
      pairs.add(before, made, count, at);
    }
    if (after !== undefined) {
      pairs.add(right, after, -count, at);
      pairs.add(made, after, count, at);
    }
    merged[length++] = made;
    i++;
  }
  piece.tokens = merged.subarray(0, length);
}

interface Counted {
  readonly key: number;
  /** When it was put into the heap; it may be less by now. */
  readonly count: number;
}

/** How often each pair occurs, in which pieces, and which is the most frequent. */
class PairCounts {
  readonly #counts = new Map<number, number>();
  /** Pieces that held the pair at some time. */
  readonly #places = new Map<number, Set<number>>();
  /** Pairs whose count rose since the heap was asked. */
  readonly #risen = new Set<number>();
  /** The first is the most frequent, as far as counts did not fall since. */
  readonly #heap = new Heap<Counted>(isBefore);

  add(left: number, right: number, by: number, place: number): void {
    const key = left * PAIR_BASE + right;
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + by);
    if (by < 0) return;
    this.#risen.add(key);
    const places = this.#places.get(key);
    if (places) places.add(place);
    else this.#places.set(key, new Set([place]));
  }

  forget([left, right]: Merge): void {
    const key = left * PAIR_BASE + right;
    this.#counts.delete(key);
    this.#places.delete(key);
    this.#risen.delete(key);
  }

  /** Undefined where none occurs often enough. */
  takeBest(): { readonly pair: Merge; readonly places: ReadonlySet<number> } | undefined {
    for (const key of this.#risen) this.#push(key);
    this.#risen.clear();
    for (let top = this.#heap.pop(); top; top = this.#heap.pop()) {
      const { key, count } = top;
      const now = this.#counts.get(key) ?? 0;
      if (now !== count) {
        if (now > 0) this.#push(key);
        continue;
      }
      if (count < OCCURRENCES_MIN) return undefined;
      const pair: Merge = [Math.floor(key / PAIR_BASE), key % PAIR_BASE];
      return { pair, places: this.#places.get(key) ?? new Set() };
    }
    return undefined;
  }

  #push(key: number): void {
    this.#heap.push({ key, count: this.#counts.get(key) ?? 0 });
  }
}

/** More frequent, else of smaller numbers. */
function isBefore(a: Counted, b: Counted): boolean {
  return a.count > b.count || (a.count === b.count && a.key < b.key);
}
