/**
 * Tokenizers of any kind that Hugging Face's `tokenizer.json` can say (WordPiece, Unigram, BPE with its normalizers and decoders), by
 * their own package, which whoever has such files installs. https://github.com/huggingface/tokenizers.js
 */
import { KasminaError, messageOf } from "../../base/errors.js";
import { maxOf } from "../../base/statistics.js";
import type { Tokenizer } from "./tokenizer.js";
import { type Codec, openInThread } from "./tokenizer-thread.js";

const INSTALL = "npm install @huggingface/tokenizers";
// As a variable, so that a bundler and the compiler let it be where it is not installed.
const PACKAGE: string = "@huggingface/tokenizers";

/** What is used of the package. */
interface HuggingFaceTokenizer {
  encode(
    text: string,
    options: { readonly add_special_tokens: boolean },
  ): { readonly ids: readonly number[] };
  decode(ids: readonly number[], options: { readonly clean_up_tokenization_spaces: boolean }): string;
  get_vocab(): ReadonlyMap<string, number>;
}
type Package = { readonly Tokenizer: new (tokenizer: object, config: object) => HuggingFaceTokenizer };

/**
 * @param parsed what the text `json` of the file says
 * @param name names the file in errors
 * @throws KasminaError `unavailable` without the package, `invalid_data` where it cannot read the file
 */
export async function openHuggingFace(parsed: unknown, json: string, name: string): Promise<Tokenizer> {
  const module = await load(name);
  const refused = (error: unknown): KasminaError =>
    new KasminaError("invalid_data", `${name} is no tokenizer that can be read: ${messageOf(error)}`, {
      cause: error,
    });
  const codec = attempt(() => openInThread(PACKAGE, json) ?? openHere(module, parsed), refused);
  const { size } = codec;
  return {
    size,
    json,
    encode(text) {
      if (text === "") return new Int32Array();
      const ids = attempt(() => codec.encode(text), refused);
      const odd = ids.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= size);
      if (odd >= 0)
        throw new KasminaError(
          "invalid_data",
          `${name}: token ${odd} of the text is unknown, and the vocabulary has none for what is`,
        );
      return Int32Array.from(ids);
    },
    decode(tokens) {
      if (tokens.length === 0) return "";
      return attempt(() => codec.decode(Array.from(tokens)), refused);
    },
  };
}

/** In a browser, where a page that hangs is its reader's to close. */
function openHere({ Tokenizer: Opened }: Package, parsed: unknown): Codec {
  const opened = new Opened(parsed as object, {});
  return {
    size: maxOf([...opened.get_vocab().values()]) + 1,
    encode: (text) => opened.encode(text, { add_special_tokens: false }).ids,
    decode: (tokens) => opened.decode(tokens, { clean_up_tokenization_spaces: false }),
  };
}

function attempt<T>(action: () => T, refused: (error: unknown) => KasminaError): T {
  try {
    return action();
  } catch (error) {
    throw refused(error);
  }
}

async function load(name: string): Promise<Package> {
  try {
    return (await import(/* @vite-ignore */ PACKAGE)) as Package;
  } catch (error) {
    throw new KasminaError("unavailable", `${name} needs the optional package ${PACKAGE}: ${INSTALL}`, {
      cause: error,
    });
  }
}
