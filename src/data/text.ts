/** Text as sequences of characters: at each position, the label is the character that comes next. */
import { KasminaError } from "../base/errors.js";
import type { Dataset } from "../contracts/dataset.js";
import { datasetFromArrays } from "./arrays.js";
import type { RowsInput } from "./rows.js";

const HELD_OUT_FRACTION = 0.05;
const TEST_FRACTION = 0.05;
/** Characters held out, at most: more would cost time in every evaluation and hardly sharpen a measurement. */
const HELD_OUT_LIMIT = 32_768;
/** What stands for a character that the training part does not have; class 0. */
const UNKNOWN = "\ufffd";

export interface TextOptions {
  /** Characters a row; default 64. */
  readonly length?: number;
}

/**
 * A dataset from a text. Its first nine tenths are `train`, then come `heldOut` and `test`, each in one piece, so
 * that no part knows what another one says next. Rows are neighbours that do not overlap: inputs int32 [length],
 * labels int32 [length], the same characters one further. The vocabulary is what occurs in the training part.
 *
 * @param name names the data in errors: `text:novel.txt`
 * @throws KasminaError `invalid_data` for a text too short for one row in each part
 */
export function datasetFromText(text: string, name: string, options: TextOptions = {}): Dataset {
  const { length = 64 } = options;
  const characters = charactersOf(text);
  const heldOutSize = Math.min(Math.floor(characters.length * HELD_OUT_FRACTION), HELD_OUT_LIMIT);
  const testSize = Math.floor(characters.length * TEST_FRACTION);
  const trainSize = characters.length - heldOutSize - testSize;
  if (Math.min(heldOutSize, testSize) <= length) {
    const needed = Math.ceil((length + 1) / Math.min(HELD_OUT_FRACTION, TEST_FRACTION));
    throw new KasminaError(
      "invalid_data",
      `${name}: rows of ${length} characters need a text of ${needed} at least, got ${characters.length}`,
    );
  }
  const classNames = [UNKNOWN, ...vocabularyOf(characters.slice(0, trainSize))];
  const tokens = tokensOf(characters, classNames);
  const rows = (from: number, size: number): RowsInput => rowsOf(tokens.subarray(from, from + size), length);
  return datasetFromArrays({
    name,
    inputShape: [length],
    labelShape: [length],
    classes: classNames.length,
    classNames,
    train: rows(0, trainSize),
    heldOut: rows(trainSize, heldOutSize),
    test: rows(trainSize + heldOutSize, testSize),
  });
}

/**
 * A text in the vocabulary of another one, in rows as {@link datasetFromText} makes them; what the vocabulary lacks is class 0.
 *
 * @throws KasminaError `invalid_data` for a text that is shorter than a row
 */
export function textInVocabulary(
  text: string,
  name: string,
  { classNames, length }: { readonly classNames: readonly string[]; readonly length: number },
): { readonly inputs: Int32Array; readonly labels: Int32Array } {
  const tokens = tokensOf(charactersOf(text), classNames);
  if (tokens.length <= length)
    throw new KasminaError(
      "invalid_data",
      `${name}: a row takes ${length + 1} characters, the text has ${tokens.length}`,
    );
  return rowsOf(tokens, length);
}

function charactersOf(text: string): string[] {
  return Array.from(text.replace(/\r\n?/g, "\n"));
}

function tokensOf(characters: readonly string[], classNames: readonly string[]): Int32Array {
  const numberOf = new Map(classNames.map((character, i) => [character, i]));
  return Int32Array.from(characters, (character) => numberOf.get(character) ?? 0);
}

function vocabularyOf(characters: readonly string[]): string[] {
  const distinct = new Set(characters);
  distinct.delete(UNKNOWN);
  return [...distinct].sort();
}

/** As many whole rows as there are; the label of a row's last position is the first character of the next one. */
function rowsOf(tokens: Int32Array, length: number) {
  const size = Math.floor((tokens.length - 1) / length) * length;
  return { inputs: tokens.slice(0, size), labels: tokens.slice(1, size + 1) };
}
