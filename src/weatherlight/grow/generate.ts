/** How a text goes on: token after token is drawn from what a network says comes next, and becomes text as soon as it is whole. */
import { z } from "zod";
import { KasminaError, type Random } from "../../base/index.js";
import { openTokenizer } from "../../data/tokenizer/open-tokenizer.js";

/**
 * How a text goes on.
 *
 * @example
 * ```ts
 * import type { GenerateOptions } from "kasmina";
 *
 * const cautious: GenerateOptions = { length: 80, temperature: 0.5, topK: 5, seed: 1 };
 * ```
 */
export interface GenerateOptions {
  /** Characters, or tokens where the text is of a tokenizer's, 1 to 1,000,000; default 200. */
  readonly length?: number;
  /** Outputs are divided by it: below 1 the likely becomes likelier; 0 takes the likeliest always; to 100. Default 1. */
  readonly temperature?: number;
  /** Only so many of the likeliest are drawn from. Default: all. */
  readonly topK?: number;
  /** The same seed goes on in the same way. Default 0. */
  readonly seed?: number;
}

const inRange = (min: number, max: number, isWhole: boolean) =>
  z.custom<number>(
    (value) =>
      typeof value === "number" && value >= min && value <= max && (!isWhole || Number.isInteger(value)),
    { error: `must be a ${isWhole ? "whole " : ""}number in ${min}..${max}` },
  );
const generateSchema = z.strictObject({
  length: inRange(1, 1_000_000, true).default(200),
  temperature: inRange(0, 100, false).default(1),
  topK: inRange(1, 2 ** 31, true).default(2 ** 31),
  seed: inRange(0, 2 ** 32 - 1, true).default(0),
});

/** @throws KasminaError `invalid_argument` naming the option that is out of range */
export function parsedGenerateOptions(options: GenerateOptions): z.infer<typeof generateSchema> {
  const result = generateSchema.safeParse(options);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const key = String(issue?.path[0] ?? "options");
  const problem = String(issue?.message);
  throw new KasminaError("invalid_argument", `${key} ${problem}`, { details: { key, problem } });
}

/** What makes tokens of a prompt, and a text of tokens. */
export interface TextCodec {
  /** Tokens that may be drawn: from the first of these numbers up to below the second. */
  readonly drawn: readonly [from: number, to: number];
  /** @throws KasminaError `invalid_argument` for a prompt that is empty or has characters that the network has never seen */
  encode(prompt: string): number[];
  decode(tokens: readonly number[]): string;
}

/** @param names the character of each number; the first is that of all others, and is never drawn */
export function characterCodec(names: readonly string[]): TextCodec {
  return {
    drawn: [1, names.length],
    encode(prompt) {
      requirePrompt(prompt);
      return Array.from(prompt, (character) => {
        const token = names.indexOf(character);
        if (token > 0) return token;
        throw new KasminaError("invalid_argument", `the network has never seen the character "${character}"`);
      });
    },
    decode: (tokens) => tokens.map((token) => names[token] ?? "").join(""),
  };
}

/** @param json the text of a `tokenizer.json` */
export async function tokenizerCodec(json: string): Promise<TextCodec> {
  const tokenizer = await openTokenizer(json, "the network's tokenizer");
  return {
    drawn: [0, tokenizer.size],
    encode(prompt) {
      requirePrompt(prompt);
      const tokens = [...tokenizer.encode(prompt)];
      if (tokens.length > 0) return tokens;
      throw new KasminaError("invalid_argument", "the tokenizer leaves nothing of the prompt");
    },
    decode: (tokens) => tokenizer.decode(tokens),
  };
}

function requirePrompt(prompt: string): void {
  if (prompt === "")
    throw new KasminaError("invalid_argument", "the prompt is empty: give a character at least");
}

/** Tokens of which a piece of text is decoded before those that are new, so that what depends on its neighbours is right. */
const CONTEXT_TOKENS = 8;
/** What bytes of a character are as long as others of it are to come. */
const INCOMPLETE = "\ufffd";

/** The text of tokens as they come: a token may be a part of a character, or change the space before it. */
export class TextStream {
  readonly #codec: TextCodec;
  readonly #tokens: number[];
  #context: number;
  #told: number;

  /** @param prompt tokens that were told before */
  constructor(codec: TextCodec, prompt: readonly number[]) {
    this.#codec = codec;
    this.#tokens = [...prompt];
    this.#told = prompt.length;
    this.#context = Math.max(0, prompt.length - CONTEXT_TOKENS);
  }

  /** What can be told by now and was not before; empty as long as a character is not whole. */
  add(token: number): string {
    this.#tokens.push(token);
    const before = this.#codec.decode(this.#tokens.slice(this.#context, this.#told));
    const text = this.#codec.decode(this.#tokens.slice(this.#context));
    if (text.length <= before.length || text.endsWith(INCOMPLETE)) return "";
    this.#context = this.#told;
    this.#told = this.#tokens.length;
    return text.slice(before.length);
  }
}

interface DrawOptions extends Pick<z.infer<typeof generateSchema>, "temperature" | "topK"> {
  readonly range: TextCodec["drawn"];
}

/** A token, by the softmax over those that may be drawn. @param outputs of all tokens */
export function drawnToken(
  outputs: Float32Array,
  { temperature, topK, range: [from, to] }: DrawOptions,
  random: Random,
): number {
  if (!outputs.every(Number.isFinite))
    throw new KasminaError("loss_not_finite", "the network is wrecked: its outputs are not finite");
  const ranked = [...outputs.keys()].slice(from, to).sort((a, b) => (outputs[b] ?? 0) - (outputs[a] ?? 0));
  const [likeliest = 0] = ranked;
  if (temperature === 0) return likeliest;
  const candidates = ranked.slice(0, topK);
  const weights = candidates.map((token) =>
    Math.exp(((outputs[token] ?? 0) - (outputs[likeliest] ?? 0)) / temperature),
  );
  let left = random.uniform() * weights.reduce((total, weight) => total + weight, 0);
  for (const [i, token] of candidates.entries()) {
    left -= weights[i] ?? 0;
    if (left < 0) return token;
  }
  return likeliest;
}
