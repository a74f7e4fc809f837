import { Tokenizer as HuggingFace } from "@huggingface/tokenizers";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ALPHABET, piecesOf } from "./byte-level.js";
import { learnTokenizer } from "./byte-level-bpe.js";
import { Heap } from "./heap.js";
import { learnMerges, type Merge } from "./learn-merges.js";
import { openTokenizer } from "./open-tokenizer.js";
import { describeTokenizer } from "./tokenizer.conformance.js";

const NOVEL = "Call me Ishmael. Some years ago — never mind how long precisely — I thought I'd sail. ".repeat(
  9,
);
/** Any text that UTF-8 can say, and some that a novel is made of. */
const anyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.string({ unit: fc.constantFrom("a", "b", "ab", " ", "\n", "'s", "1", "é", "🐋", "."), maxLength: 60 }),
  fc.array(fc.constantFrom(...NOVEL.split(" ")), { maxLength: 12 }).map((words) => words.join(" ")),
);

const LEARNED = learnTokenizer(NOVEL, { vocabSize: 320 });

describe("a byte-level BPE that was learned", () => {
  describeTokenizer(async () => LEARNED, anyText);

  test("gives the ids that Hugging Face's own reader gives", () => {
    const other = new HuggingFace(JSON.parse(LEARNED.json), {});
    // Two spaces that JavaScript's \s takes for others than the reference does, and the package with it.
    const comparable = anyText.filter((text) => !/[\ufeff\u0085]/.test(text));
    fc.assert(
      fc.property(comparable, (text) => {
        const { ids } = other.encode(text);
        expect([...LEARNED.encode(text)]).toEqual(ids);
        if (ids.length > 0)
          expect(other.decode(ids, { clean_up_tokenization_spaces: false })).toBe(LEARNED.decode(ids));
      }),
    );
  });

  test("is the same of the same text, and says so in one file", () => {
    const again = learnTokenizer(NOVEL, { vocabSize: 320 });
    expect(again.json).toBe(LEARNED.json);
    expect(JSON.parse(again.json)).toMatchObject({
      model: { type: "BPE", vocab: { "!": 0, Ġ: 220 }, merges: expect.arrayContaining(["m e"]) },
      pre_tokenizer: { type: "ByteLevel", add_prefix_space: false },
      decoder: { type: "ByteLevel" },
    });
  });

  test("of the bytes alone says what it never saw", () => {
    const bytes = learnTokenizer("", { vocabSize: 256 });
    expect([bytes.size, bytes.encode("🐋").length, bytes.decode(bytes.encode("🐋"))]).toEqual([256, 4, "🐋"]);
  });

  test("is smaller where no pair occurs twice", () => {
    expect(learnTokenizer("abc", { vocabSize: 300 }).size).toBe(256);
    expect(learnTokenizer("abc abc", { vocabSize: 300 }).size).toBe(258);
  });

  test("shows bytes that are no whole character as such", () => {
    const [first = 0] = LEARNED.encode("🐋");
    expect(LEARNED.decode([first])).toBe("\ufffd");
  });

  test("reads a long text without spaces", () => {
    const letters = Array.from({ length: 50_000 }, (_, i) => "ACGT"[(i * i + (i >> 3)) % 4]).join("");
    const tokenizer = learnTokenizer(letters, { vocabSize: 300 });
    const tokens = tokenizer.encode(letters);
    expect(tokens.length).toBeLessThan(20_000);
    expect(tokenizer.decode(tokens)).toBe(letters);
  });

  test.each([255, 65_537, 300.5, Number.NaN])("of %d tokens is refused", (vocabSize) => {
    expect(() => learnTokenizer("ab", { vocabSize })).toThrow(
      `vocabSize must be a whole number in 256..65536, got ${vocabSize}`,
    );
  });
});

test("pieces are the whole text, a word with the space before it", () => {
  expect([...piecesOf("He'll  pay 20 dollars…\n\nNow")]).toEqual([
    ...["He", "'ll", " ", " pay", " 20", " dollars", "…", "\n", "\n", "Now"],
  ]);
  fc.assert(
    fc.property(anyText, (text) => {
      expect([...piecesOf(text)].join("")).toBe(text);
    }),
  );
});

describe("merges", () => {
  /** The most frequent pair of neighbours, of equals that of the smaller numbers. */
  function commonest(pieces: readonly (readonly number[])[]): Merge | undefined {
    const counts = new Map<string, { readonly pair: Merge; readonly count: number }>();
    for (const piece of pieces)
      for (let i = 1; i < piece.length; i++) {
        const pair: Merge = [piece[i - 1] ?? 0, piece[i] ?? 0];
        counts.set(`${pair}`, { pair, count: (counts.get(`${pair}`)?.count ?? 0) + 1 });
      }
    const [best] = [...counts.values()].sort(
      (a, b) => b.count - a.count || a.pair[0] - b.pair[0] || a.pair[1] - b.pair[1],
    );
    return best && best.count >= 2 ? best.pair : undefined;
  }

  function joined(piece: readonly number[], [left, right]: Merge, made: number): number[] {
    const merged: number[] = [];
    for (let i = 0; i < piece.length; i++) {
      const isPair = piece[i] === left && piece[i + 1] === right;
      merged.push(isPair ? made : (piece[i] ?? 0));
      if (isPair) i++;
    }
    return merged;
  }

  /** As the definition has it: all pairs are counted anew after each merge. */
  function plainMerges(text: string, merges: number): Merge[] {
    let pieces = [...piecesOf(text)].map((piece) =>
      Array.from(new TextEncoder().encode(piece), (byte) => ALPHABET.indexOf(byte)),
    );
    const learned: Merge[] = [];
    for (let pair = commonest(pieces); pair && learned.length < merges; pair = commonest(pieces)) {
      const [merge, made] = [pair, ALPHABET.length + learned.length];
      pieces = pieces.map((piece) => joined(piece, merge, made));
      learned.push(pair);
    }
    return learned;
  }

  test("are those that counting anew after each would find", () => {
    const words = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 12 }), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(words, (some) => {
        const text = some.join(" ");
        expect(learnMerges(text, 20)).toEqual(plainMerges(text, 20));
      }),
      { numRuns: 300 },
    );
    expect(learnMerges(NOVEL, 60)).toEqual(plainMerges(NOVEL, 60));
  });
});

test("a heap gives its items in order", () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), (numbers) => {
      const heap = new Heap<number>((a, b) => a < b);
      for (const number of numbers) heap.push(number);
      const given = numbers.map(() => heap.pop());
      expect(given).toEqual([...numbers].sort((a, b) => a - b));
      expect(heap.pop()).toBeUndefined();
    }),
  );
});

/** A whole-word tokenizer with a normalizer, as Kasmina never writes it. */
const WORDS = {
  ...{ version: "1.0", truncation: null, padding: null, added_tokens: [] },
  normalizer: { type: "Lowercase" },
  pre_tokenizer: { type: "WhitespaceSplit" },
  post_processor: null,
  decoder: { type: "WordPiece", prefix: "##", cleanup: false },
  model: {
    ...{
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
    },
    vocab: { "[UNK]": 0, the: 1, whale: 2, "##s": 3 },
  },
};

describe("a file of another kind", () => {
  const open = () => openTokenizer(JSON.stringify(WORDS));
  describeTokenizer(
    open,
    fc
      .array(fc.constantFrom("the", "whale", "whales"), { minLength: 1, maxLength: 8 })
      .map((words) => words.join(" ")),
  );

  test("is read by Hugging Face's package, special tokens left out, spaces as they are", async () => {
    const words = await open();
    expect([...words.encode("The WHALES dive")]).toEqual([1, 2, 3, 0]);
    expect(words.size).toBe(4);
  });

  test.each<readonly [string, string, RegExp]>([
    ["no JSON", "{", /^t\.json is not JSON: /],
    ["another JSON", "[]", /^t\.json is no tokenizer that can be read: /],
    ["nothing", "null", /^t\.json is no tokenizer that can be read: /],
    [
      "an unknown model",
      JSON.stringify({ ...WORDS, model: { type: "Guess" } }),
      /no tokenizer that can be read/,
    ],
    [
      "too many tokens",
      JSON.stringify({ ...WORDS, model: { ...WORDS.model, vocab: { ...WORDS.model.vocab, x: 2 ** 20 } } }),
      /a vocabulary has 2 to 1048576 tokens, this one 1048577/,
    ],
  ])("%s is refused", async (_, json, message) => {
    await expect(openTokenizer(json, "t.json")).rejects.toThrow(message);
  });

  test("an expression that is tried for ever is given up, and others are read as before", async () => {
    const words = await open();
    const pre_tokenizer = {
      type: "Split",
      pattern: { Regex: "(a+)+b" },
      behavior: "Isolated",
      invert: false,
    };
    const endless = await openTokenizer(JSON.stringify({ ...WORDS, pre_tokenizer }), "endless.json");
    expect(() => endless.encode("a".repeat(64))).toThrow(
      /^endless\.json is no tokenizer that can be read: it takes for ever/,
    );
    expect([...words.encode("the whale")]).toEqual([1, 2]);
    expect([...endless.encode("the")]).toEqual([1]);
  });

  test("many are open at once, each with its own words", async () => {
    const vocab = (i: number) => ({ "[UNK]": 0, [`word${i}`]: 1 });
    const many = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        openTokenizer(JSON.stringify({ ...WORDS, model: { ...WORDS.model, vocab: vocab(i) } })),
      ),
    );
    for (const round of [0, 1])
      for (const [i, one] of many.entries())
        expect([...one.encode(`word${i} word${i + 1}`)], `${round}`).toEqual([1, 0]);
  });

  test("a text that the vocabulary cannot say is refused", async () => {
    const { unk_token: _, ...model } = WORDS.model;
    const words = await openTokenizer(
      JSON.stringify({ ...WORDS, model: { ...model, vocab: { the: 0, whale: 1 } } }),
    );
    expect(() => words.encode("the sea")).toThrow(/token 1 of the text is unknown/);
  });
});
