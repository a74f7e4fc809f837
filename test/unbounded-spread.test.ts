/** Arguments go over the stack: `f(...values)` ends a process with some 100,000 values, which a long run or a table has. */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { expect, test } from "vitest";

const SRC = new URL("../src/", import.meta.url).pathname;
/** Spreads are over the axes of a shape, the bytes of an instruction, or parts of a stated size, in here. */
const BOUNDED = /^base\/bytes\.ts|^engine\/(onnx\/(views|rules)\/|flops\.ts|update\/kernel\.ts)/;
const SPREAD_CALL =
  /\b(?:Math\.(?:max|min)|\.?(?:push|unshift|fromCharCode|fromCodePoint))\((?:[^(){}`]|\([^()]*\))*?\.\.\./g;

function spreadCalls(text: string): string[] {
  return [...text.matchAll(SPREAD_CALL)].map(([call]) => call);
}

test("no data-sized array is spread into the arguments of a call", () => {
  const found = readdirSync(SRC, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !/\.(test|long|fixture|conformance)\.ts$/.test(name))
    .filter((name) => !BOUNDED.test(name) && !name.includes("/gen/"))
    .flatMap((name) =>
      spreadCalls(readFileSync(join(SRC, name), "utf8")).map((call) => `${relative(".", name)}: ${call}`),
    );
  expect(found).toEqual([]);
});

test.each([
  "Math.max(...values)",
  "Math.min(0, ...values.map((x) => x + 1))",
  "Math.max(\n  1,\n  ...values,\n)",
  "all.push(...more)",
  "String.fromCharCode(...bytes)",
])("%j is found", (call) => expect(spreadCalls(call)).toHaveLength(1));
