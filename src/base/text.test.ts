import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatFlops, isIdentifier, printable } from "./text.js";

describe("an identifier", () => {
  test.each(["s1", "seed-1", "a.b_c-D", "0", "x".repeat(64)])("%j is one", (text) =>
    expect(isIdentifier(text)).toBe(true));

  test.each([
    ...["", " ", "a b", "a\n", "\na", "x".repeat(65), "x".repeat(3_000)],
    ...['x"y', "x'y", "../x", "..", ".", "a/b", "a\\b", "__proto__", "-rf", "_x", ".hidden"],
    ...["é", "ａ", "a\u200b", "\ufeffa", "a\u0000", "<b>", "{}", "a,b", "a=b", "a|b"],
  ])("%j is none", (text) => expect(isIdentifier(text)).toBe(false));
});

test.each([
  [0, "0.00 MFLOP"],
  [1.2e6, "1.20 MFLOP"],
  [93.5e9, "93.5 GFLOP"],
  [1.23e12, "1.23 TFLOP"],
  [4e15, "4.00 PFLOP"],
])("%d is %s", (flops, text) => expect(formatFlops(flops)).toBe(text));

describe("a printable line", () => {
  test.each([
    ["plain — ü 漢字 🌱", "plain — ü 漢字 🌱"],
    ["red \u001b[31mtext\u0007", "red \\x1b[31mtext\\x07"],
    ["one\n  two\r\nthree", "one two three"],
    ["a\rb", "a\\x0db"],
    ["\u009b2J", "\\x9b2J"],
    ["abc\u202egnp.exe", "abc\\u202egnp.exe"],
    ["zero\u200bwidth \ufeff", "zero\\u200bwidth"],
    ["a\u2028b", "a\\u2028b"],
  ])("%j reads %j", (text, shown) => expect(printable(text)).toBe(shown));

  test("has no control character whatever it was, and a bounded length", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 3_000 }), (text) => {
        const shown = printable(text);
        expect([...shown].filter((one) => /\p{Cc}|[\u202a-\u202e]/u.test(one))).toEqual([]);
        expect(shown.length).toBeLessThanOrEqual(2_001);
      }),
    );
  });

  test("a hundred thousand spaces take no time to speak of", () => {
    // It was a regular expression that took 15 s: here it would run into the test's own deadline.
    for (let time = 0; time < 1_000; time++) printable(`${" ".repeat(100_000)}x`);
    expect(printable(`a${" ".repeat(100_000)}x`)).toHaveLength(1);
  });
});
