/** What makes tokens of a text, and a text of tokens: by a `tokenizer.json`, as Hugging Face writes them. */

/**
 * A tokenizer.
 *
 * @example
 * ```ts
 * import { learnTokenizer, type Tokenizer } from "kasmina/data";
 *
 * const tokenizer: Tokenizer = learnTokenizer("the cat and the dog", { vocabSize: 260 });
 * console.log(tokenizer.decode(tokenizer.encode("the cat")));
 * ```
 */
export interface Tokenizer {
  /** Of the vocabulary: tokens are numbers 0 .. size − 1. */
  readonly size: number;
  /** The text of its `tokenizer.json`. */
  readonly json: string;
  /** @throws KasminaError `invalid_data` for a text that the vocabulary cannot say */
  encode(text: string): Int32Array;
  /** Bytes that are no whole characters become U+FFFD. */
  decode(tokens: ArrayLike<number>): string;
}
