/** The tokenizer that a file says, whoever is to read it. */
import { KasminaError, messageOf } from "../../base/errors.js";
import { byteLevelBpeIn } from "./byte-level-bpe.js";
import { openHuggingFace } from "./hugging-face.js";
import type { Tokenizer } from "./tokenizer.js";

/** Its outputs are one each: more would take gigabytes a batch. */
const SIZE_MAX = 2 ** 20;

/**
 * The tokenizer that a `tokenizer.json` says. A plain byte-level BPE, as {@link learnTokenizer} makes it, is read by Kasmina, every other by the
 * optional package `@huggingface/tokenizers`.
 *
 * @param json the text of the file
 * @param name names it in errors
 * @throws KasminaError `invalid_data` for a text that is none, `unavailable` without the package
 *
 * @example
 * ```ts
 * import { openTokenizer } from "kasmina/data";
 *
 * const answer = await fetch("https://huggingface.co/openai-community/gpt2/resolve/main/tokenizer.json");
 * const tokenizer = await openTokenizer(await answer.text());
 * console.log(tokenizer.size); // 50257
 * ```
 */
export async function openTokenizer(json: string, name = "tokenizer.json"): Promise<Tokenizer> {
  const parsed = parsedJson(json, name);
  const tokenizer = byteLevelBpeIn(parsed, json) ?? (await openHuggingFace(parsed, json, name));
  if (!Number.isInteger(tokenizer.size) || tokenizer.size < 2 || tokenizer.size > SIZE_MAX)
    throw new KasminaError(
      "invalid_data",
      `${name}: a vocabulary has 2 to ${SIZE_MAX} tokens, this one ${tokenizer.size}`,
    );
  return tokenizer;
}

function parsedJson(json: string, name: string): unknown {
  try {
    // Its keys are tokens, which may be any text: no rule of ours holds for them.
    return JSON.parse(json);
  } catch (error) {
    throw new KasminaError("invalid_data", `${name} is not JSON: ${messageOf(error)}`, { cause: error });
  }
}
