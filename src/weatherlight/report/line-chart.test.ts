import fc from "fast-check";
import { expect, test } from "vitest";
import { smoothed } from "./charts.js";
import { thinned } from "./line-chart.js";

const samplesOf = (values: readonly number[]) => values.map((value, step) => ({ step, value }));

test("a thinned curve keeps what stands out, its ends, and its order", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ noNaN: true }), { minLength: 1, maxLength: 3_000 }), (values) => {
      const kept = thinned(samplesOf(values));
      const left = kept.map(({ value }) => value);
      expect(kept.length).toBeLessThanOrEqual(480);
      expect(Math.min(...left)).toBe(Math.min(...values));
      expect(Math.max(...left)).toBe(Math.max(...values));
      expect([kept.at(0)?.step, kept.at(-1)?.step]).toEqual([0, values.length - 1]);
      expect(kept).toEqual(kept.toSorted((a, b) => a.step - b.step));
    }),
    { numRuns: 50 },
  );
});

test.each([0, 1, 5_000, 99_999])("one spike of a hundred thousand samples stays, at %i", (at) => {
  const values = new Array<number>(100_000).fill(1);
  values[at] = 9;
  expect(thinned(samplesOf(values))).toContainEqual({ step: at, value: 9 });
});

test("a value that is no number stays too", () => {
  const values = new Array<number>(5_000).fill(1).map((value, i) => (i === 777 ? Number.NaN : value));
  expect(thinned(samplesOf(values))).toContainEqual({ step: 777, value: Number.NaN });
});

test("smoothing begins at the first value, and leaves a constant as it is", () => {
  expect(smoothed(samplesOf([4, 0]), 0.5).map(({ value }) => value)).toEqual([4, 4 / 3]);
  for (const { value } of smoothed(samplesOf([2, 2, 2, 2]), 0.9)) expect(value).toBeCloseTo(2, 12);
  expect(smoothed(samplesOf([1, Number.NaN, 1]), 0.5).map(({ value }) => value)).toEqual([1, Number.NaN, 1]);
});
