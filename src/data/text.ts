/**
 * Text as sequences: at each position, the label is what comes next. What stands at a position is a character, or a token of a
 * tokenizer, which was given or is learned from the training part.
 */
import { KasminaError } from "../base/errors.js";
import type { Dataset, Rows } from "../contracts/dataset.js";
import { datasetFromArrays } from "./arrays.js";
import { learnTokenizer } from "./tokenizer/byte-level-bpe.js";
import type { Tokenizer } from "./tokenizer/tokenizer.js";

const HELD_OUT_FRACTION = 0.05;
const TEST_FRACTION = 0.05;
/** Characters held out, at most: more would cost time in every evaluation and hardly sharpen a measurement. */
const HELD_OUT_LIMIT = 32_768;
/** What stands for a character that the training part does not have; class 0. */
const UNKNOWN = "\ufffd";

export interface TextOptions {
  /** Characters or tokens a row; default 64. */
  readonly length?: number;
  /** What makes tokens of the text. Default: its characters are. */
  readonly tokenizer?: Tokenizer;
  /** Tokens of a byte-level BPE that is learned from the training part, 256 .. 65,536, in the place of a tokenizer. */
  readonly vocabSize?: number;
}

/**
 * A dataset from a text. Its first nine tenths are `train`, then come `heldOut` and `test`, each in one piece, so
 * that no part knows what another one says next; whatever the tokens are, the parts are the same. Rows are neighbours that do not
 * overlap: inputs int32 [length], labels int32 [length], the same one further. The vocabulary is the characters of the training part,
 * or that of the tokenizer.
 *
 * @param name names the data in errors: `text:novel.txt`
 * @throws KasminaError `invalid_data` for a text too short for one row in each part, `invalid_argument` for a tokenizer and a size
 */
export function datasetFromText(text: string, name: string, options: TextOptions = {}): Dataset {
  const { length = 64 } = options;
  const parts = partsOf(plain(text), name, options);
  const tokenizer = tokenizerFor(parts.train, name, options);
  const vocabulary: Vocabulary = tokenizer ?? characterVocabulary(vocabularyOf(parts.train));
  const rows = {
    train: rowsOf(parts.train, vocabulary, length),
    heldOut: rowsOf(parts.heldOut, vocabulary, length),
    test: rowsOf(parts.test, vocabulary, length),
  };
  for (const [part, { labels, tokens }] of Object.entries(rows))
    if (labels.length === 0)
      throw new KasminaError(
        "invalid_data",
        `${name}: a row takes ${length + 1} tokens, the part ${part} has ${tokens}: take a longer text or a smaller length`,
      );
  const { classNames } = vocabulary;
  const dataset = datasetFromArrays({
    name,
    inputShape: [length],
    labelShape: [length],
    classes: vocabulary.size,
    ...(classNames && { classNames }),
    ...rows,
  });
  const withBytes = (part: "train" | "heldOut" | "test"): Rows => ({
    ...dataset[part],
    textBytes: rows[part].textBytes,
  });
  return {
    ...dataset,
    ...(tokenizer && { tokenizer: tokenizer.json }),
    train: withBytes("train"),
    heldOut: withBytes("heldOut"),
    test: withBytes("test"),
  };
}

/**
 * A text in the vocabulary of another one, in rows as {@link datasetFromText} makes them; a character that the vocabulary lacks is class 0.
 *
 * @throws KasminaError `invalid_data` for a text that is shorter than a row
 */
export function textInVocabulary(
  text: string,
  name: string,
  { vocabulary, length }: { readonly vocabulary: Vocabulary; readonly length: number },
): Pick<TextRows, "inputs" | "labels" | "textBytes"> {
  const { tokens, ...rows } = rowsOf(plain(text), vocabulary, length);
  if (rows.labels.length > 0) return rows;
  const what = vocabulary.classNames ? "characters" : "tokens";
  throw new KasminaError(
    "invalid_data",
    `${name}: a row takes ${length + 1} ${what}, the text has ${tokens}`,
  );
}

/** What makes numbers of a text: a tokenizer, or its characters. */
export interface Vocabulary extends Pick<Tokenizer, "size" | "encode"> {
  /** The character of each number. */
  readonly classNames?: readonly string[];
}

/** @param classNames the character of each number; the first is that of all others */
export function characterVocabulary(classNames: readonly string[]): Vocabulary {
  const numberOf = new Map(classNames.map((character, i) => [character, i]));
  return {
    size: classNames.length,
    classNames,
    encode: (text) => Int32Array.from(text as Iterable<string>, (character) => numberOf.get(character) ?? 0),
  };
}

/** Line ends made alike. */
function plain(text: string): string {
  return text.replace(/\r\n?/g, "\n");
}

interface TextParts {
  readonly train: string;
  readonly heldOut: string;
  readonly test: string;
}

/** Cut between characters. */
function partsOf(text: string, name: string, { length = 64, ...how }: TextOptions): TextParts {
  const characters = Array.from(text);
  const heldOutSize = Math.min(Math.floor(characters.length * HELD_OUT_FRACTION), HELD_OUT_LIMIT);
  const testSize = Math.floor(characters.length * TEST_FRACTION);
  const trainSize = characters.length - heldOutSize - testSize;
  const isOfTokens = how.tokenizer !== undefined || how.vocabSize !== undefined;
  if (Math.min(heldOutSize, testSize) <= (isOfTokens ? 0 : length)) {
    const needed = Math.ceil((length + 1) / Math.min(HELD_OUT_FRACTION, TEST_FRACTION));
    throw new KasminaError(
      "invalid_data",
      `${name}: rows of ${length} ${isOfTokens ? "tokens" : "characters"} need a text of ${needed} at least, got ${characters.length}`,
    );
  }
  const part = (from: number, size: number): string => characters.slice(from, from + size).join("");
  return {
    train: part(0, trainSize),
    heldOut: part(trainSize, heldOutSize),
    test: part(trainSize + heldOutSize, testSize),
  };
}

function tokenizerFor(train: string, name: string, { tokenizer, vocabSize }: TextOptions) {
  if (tokenizer && vocabSize !== undefined)
    throw new KasminaError(
      "invalid_argument",
      `${name}: give a tokenizer, or the size of one to learn, not both`,
    );
  return vocabSize === undefined ? tokenizer : learnTokenizer(train, { vocabSize });
}

function vocabularyOf(text: string): string[] {
  const distinct = new Set(text);
  distinct.delete(UNKNOWN);
  return [UNKNOWN, ...[...distinct].sort()];
}

interface TextRows {
  readonly inputs: Int32Array;
  readonly labels: Int32Array;
  readonly textBytes: number;
  /** Of the whole text. */
  readonly tokens: number;
}

/** As many whole rows as there are; the label of a row's last position is the first token of the next one. */
function rowsOf(text: string, vocabulary: Vocabulary, length: number): TextRows {
  const tokens = vocabulary.encode(text);
  const size = Math.max(0, Math.floor((tokens.length - 1) / length) * length);
  const bytes = new TextEncoder().encode(text).length;
  return {
    inputs: tokens.slice(0, size),
    labels: tokens.slice(1, size + 1),
    textBytes: (bytes * size) / tokens.length,
    tokens: tokens.length,
  };
}
