import fc from "fast-check";
import { expect, test } from "vitest";
import type { AnyRows } from "../contracts/dataset.js";
import { DrawnRows } from "./drawn-rows.js";

/** Row i has the input i and the label i. */
function rowsOf(count: number, weights?: Float32Array): AnyRows {
  const labels = Int32Array.from({ length: count }, (_, i) => i);
  const inputs = Float32Array.from(labels);
  return { inputs, scale: 1, labelShape: [], labels, count, ...(weights && { weights }) };
}

function allOf(drawn: DrawnRows): number[] {
  const seen: number[] = [];
  for (let from = 0; from < drawn.count; from += drawn.batch) {
    const { labels, inputs, weights, count } = drawn.at(from);
    expect([...inputs.data]).toEqual([...labels.data]);
    expect([...weights.data]).toEqual(Array.from({ length: drawn.batch }, (_, i) => (i < count ? 1 : 0)));
    seen.push(...[...labels.data].slice(0, count));
  }
  return seen;
}

test("every row stands at one place, the same for the same seed", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 1, max: 20 }),
      fc.nat(),
      (count, batch, seed) => {
        const seen = allOf(new DrawnRows(rowsOf(count), [1], { batch, seed }));
        expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
        expect(allOf(new DrawnRows(rowsOf(count), [1], { batch, seed }))).toEqual(seen);
      },
    ),
  );
});

test("rows that stand class by class are mixed", () => {
  const first = new DrawnRows(rowsOf(1_000), [1], { batch: 100, seed: 0 }).at(0);
  const fromTheFirstHalf = [...first.labels.data].filter((row) => row < 500).length;
  expect(fromTheFirstHalf).toBeGreaterThan(30);
  expect(fromTheFirstHalf).toBeLessThan(70);
});

test("a row counts as much as it does in its split, and padding not at all", () => {
  const weights = Float32Array.from([1, 2, 3]);
  const { labels, weights: counted } = new DrawnRows(rowsOf(3, weights), [1], { batch: 4, seed: 1 }).at(0);
  expect([...counted.data]).toEqual([...[...labels.data].slice(0, 3).map((row) => row + 1), 0]);
});

test("there is nothing outside of the order", () => {
  const drawn = new DrawnRows(rowsOf(3), [1], { batch: 2, seed: 0 });
  expect(() => drawn.at(3)).toThrow("from must be 0 .. 2, got 3");
});
