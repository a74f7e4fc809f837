/** What every {@link Tokenizer} keeps, whatever file it is of. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { openTokenizer } from "./open-tokenizer.js";
import type { Tokenizer } from "./tokenizer.js";

/** @param texts those that the tokenizer says without loss */
export function describeTokenizer(open: () => Promise<Tokenizer>, texts: fc.Arbitrary<string>): void {
  test("what it decodes is what it encoded", async () => {
    const tokenizer = await open();
    fc.assert(
      fc.property(texts, (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }),
    );
  });

  test("its tokens are numbers of its vocabulary", async () => {
    const tokenizer = await open();
    fc.assert(
      fc.property(texts, (text) => {
        const tokens = tokenizer.encode(text);
        expect(tokens).toBeInstanceOf(Int32Array);
        expect(tokens.every((token) => token >= 0 && token < tokenizer.size)).toBe(true);
      }),
    );
    expect(tokenizer.encode("")).toEqual(new Int32Array());
    expect(tokenizer.decode([])).toBe("");
  });

  test("its file says the same tokenizer", async () => {
    const tokenizer = await open();
    const again = await openTokenizer(tokenizer.json);
    expect([again.size, again.json]).toEqual([tokenizer.size, tokenizer.json]);
    fc.assert(
      fc.property(texts, (text) => {
        expect(again.encode(text)).toEqual(tokenizer.encode(text));
      }),
    );
  });
}
