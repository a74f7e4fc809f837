import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromJsonText, parseStrictJson, toJsonText } from "./json.js";

describe("strict JSON", () => {
  test("reads what JSON.stringify writes, pretty or not", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom(0, 2), (value, indent) => {
        fc.pre(!JSON.stringify(value).includes('"__proto__":'));
        expect(parseStrictJson(JSON.stringify(value, null, indent))).toEqual(
          JSON.parse(JSON.stringify(value)),
        );
      }),
    );
  });

  test.each([
    ['{"a":1,"a":2}', /duplicate key "a"/],
    ['{"a":1 , "b":{}, "\\u0061" : 2}', /duplicate key/],
    ['[{"x":{"k":1,"l":[],"k":1}}]', /duplicate key "k"/],
    ['{"__proto__":1}', /key __proto__/],
    ['[{"\\u005f_proto__":1}]', /key __proto__/],
    ["[".repeat(33) + "]".repeat(33), /nested deeper/],
    ['{"a":', /not JSON/],
    ['{"a', /not JSON/],
    ['{"\\x":1}', /not a JSON string/],
    ["{} {}", /not JSON/],
    ["", /not JSON/],
  ])("refuses %s", (text, message) => {
    expect(() => parseStrictJson(text)).toThrow(message);
  });

  test.each([
    '{"a":{"a":1},"b":{"a":1}}',
    '{"a":"a:","b":"\\"a\\":"}',
    '["a","a"]',
    "[".repeat(32) + "]".repeat(32),
  ])("the same key in different objects, or a string that is no key, is no duplicate: %s", (text) => {
    expect(parseStrictJson(text)).toEqual(JSON.parse(text));
  });
});

test("JSON of our own keeps what a value holds, numbers that are not finite too, beside null and the word", () => {
  const part = fc.oneof(
    fc.double().filter((number) => !Object.is(number, -0)),
    fc.constant(null),
    fc.constant("null"),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.dictionary(fc.stringMatching(/^[a-z]+$/), fc.array(part)), (value) => {
      expect(fromJsonText(toJsonText(value))).toEqual(value);
    }),
  );
});
