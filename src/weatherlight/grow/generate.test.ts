/** A network that learned from a text goes on with one. */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { datasetFromText, learnTokenizer } from "../../data/index.js";
import { grow } from "../run/grow.js";
import { type GenerateOptions, TextStream, tokenizerCodec } from "./generate.js";
import type { GrownNetwork } from "./grown-network.js";

/** After each character comes the next one, round and round, wherever a row begins. */
const ROUND = "abcdefg";

let network: GrownNetwork;
beforeAll(async () => {
  const data = datasetFromText(ROUND.repeat(200), "round", { length: 8 });
  ({ network } = await grow({ data, engine: "wasm", epochs: 12, lr: 0.01, growth: false }));
}, 120_000);

async function gone(prompt: string, options?: GenerateOptions): Promise<string> {
  let text = "";
  for await (const character of network.generate(prompt, options)) text += character;
  return text;
}

describe("what comes next", () => {
  test("is what the network learned, beyond the window that it sees, after a prompt of any length", async () => {
    const expected = "defgabcdefgabcdefgab";
    expect(await gone("c", { length: 20, temperature: 0 })).toBe(expected);
    expect(await gone(`${ROUND.repeat(3)}abc`, { length: 20, temperature: 0 })).toBe(expected);
  });

  test("is drawn in the same way by the same seed, in another by another one where much is possible", async () => {
    const wild = (seed: number) => gone("a", { length: 60, temperature: 100, seed });
    expect(await wild(3)).toBe(await wild(3));
    expect(await wild(3)).not.toBe(await wild(4));
  });

  test("is never but one of the likeliest, and never the unknown character", async () => {
    expect(await gone("a", { length: 20, temperature: 100, topK: 1 })).toBe(
      await gone("a", { length: 20, temperature: 0 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: 1_000 }), async (seed) => {
        const text = await gone("g", { length: 12, temperature: 100, seed });
        expect([...text].every((character) => ROUND.includes(character))).toBe(true);
      }),
      { numRuns: 3 },
    );
  });
});

describe("a text of tokens", () => {
  const tokenizer = learnTokenizer("a whale is a whale; 鯨 is a whale", { vocabSize: 262 });

  test("comes whole: a character that takes several tokens is told at the last of them", async () => {
    const codec = await tokenizerCodec(tokenizer.json);
    const [a = 0, b = 0, c = 0, ...more] = tokenizer.encode("鯨");
    expect(more).toEqual([]);
    const stream = new TextStream(codec, codec.encode("a "));
    expect([a, b, c].map((token) => stream.add(token))).toEqual(["", "", "鯨"]);
    // Bytes that become none are told as what they are once others follow.
    expect([a, ...tokenizer.encode("is")].map((token) => stream.add(token)).join("")).toBe("\ufffdis");
  });

  test("is what decoding all of it at once gives", async () => {
    const codec = await tokenizerCodec(tokenizer.json);
    const texts = fc.string({
      unit: fc.constantFrom("a", " ", "whale", "鯨", "é", "🐋", "\n"),
      maxLength: 20,
    });
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), texts, (prompt, text) => {
        const stream = new TextStream(codec, codec.encode(prompt));
        const told = Array.from(tokenizer.encode(text), (token) => stream.add(token)).join("");
        expect(told).toBe(text);
      }),
    );
  });
});

test.each<[GenerateOptions, string]>([
  [{ length: 0.5 }, "length must be a whole number in 1..1000000"],
  [{ length: Number.NaN }, "length must be a whole number"],
  [{ temperature: -1 }, "temperature must be a number in 0..100"],
  [{ topK: 0 }, "topK must be a whole number"],
  [{ seed: 2 ** 32 }, "seed must be a whole number"],
  [{ tempo: 1 } as GenerateOptions, "tempo"],
])("options out of range are named: %j", async (options, problem) => {
  await expect(gone("a", options)).rejects.toThrow(problem);
});

test("what it cannot go on from is named", async () => {
  await expect(gone("")).rejects.toThrow("the prompt is empty");
  await expect(gone("aZ")).rejects.toThrow('never seen the character "Z"');
  await expect(gone("\ufffd")).rejects.toThrow("never seen the character");
  const { network: spirals } = await grow({ data: "spirals", engine: "wasm", epochs: 1, growth: false });
  await expect(spirals.generate("a").next()).rejects.toThrow("did not learn from a text");
});
