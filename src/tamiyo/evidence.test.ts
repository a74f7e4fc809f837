import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { plateauOf, pooled, trendOf, verdictOf } from "./evidence.js";

const estimate = fc.record({
  value: fc.double({ min: -1, max: 1, noNaN: true }),
  stdErr: fc.double({ min: 0.001, max: 1, noNaN: true }),
});

describe("pooled measurements", () => {
  test("of one are that one", () => {
    fc.assert(
      fc.property(estimate, (one) => {
        expect(pooled([one]).value).toBeCloseTo(one.value, 12);
        expect(pooled([one]).stdErr).toBeCloseTo(one.stdErr, 12);
      }),
    );
  });

  test("are no surer than their rows, which they share, and less sure the more they scatter", () => {
    fc.assert(
      fc.property(fc.array(estimate, { minLength: 2, maxLength: 10 }), (measurements) => {
        const rows = Math.min(...measurements.map(({ stdErr }) => stdErr));
        expect(pooled(measurements).stdErr).toBeGreaterThanOrEqual(rows - 1e-12);
        const wider = measurements.map(({ value, stdErr }) => ({ value: 3 * value, stdErr }));
        expect(pooled(wider).stdErr).toBeGreaterThanOrEqual(pooled(measurements).stdErr - 1e-12);
      }),
    );
  });
});

describe("a verdict", () => {
  test("is above or below only where the whole interval is", () => {
    fc.assert(
      fc.property(estimate, fc.double({ min: -0.5, max: 0.5, noNaN: true }), (one, threshold) => {
        const verdict = verdictOf(one, threshold, 2);
        if (verdict === "above") expect(one.value - 2 * one.stdErr).toBeGreaterThan(threshold);
        else if (verdict === "below") expect(one.value + 2 * one.stdErr).toBeLessThan(threshold);
        else expect(Math.abs(one.value - threshold)).toBeLessThanOrEqual(2 * one.stdErr + 1e-12);
      }),
    );
  });

  test("on what is not finite is below", () => {
    expect(verdictOf({ value: Number.NaN, stdErr: 0.1 }, 0, 2)).toBe("below");
    expect(verdictOf({ value: 1, stdErr: Number.POSITIVE_INFINITY }, 0, 2)).toBe("below");
    expect(verdictOf(pooled([]), 0, 2)).toBe("below");
  });
});

const losses = fc.array(fc.double({ min: 0.01, max: 10, noNaN: true }), { minLength: 3, maxLength: 20 });

describe("a trend", () => {
  test("of values on a line is that line, without error", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 30 }),
        fc.double({ min: -1, max: 1, noNaN: true }),
        (n, slope) => {
          const trend = trendOf(Array.from({ length: n }, (_, i) => 5 + slope * i));
          expect(trend?.slope).toBeCloseTo(slope, 9);
          expect(trend?.stdErr).toBeCloseTo(0, 6);
          expect(trend?.fall).toBeCloseTo((-slope * (n - 1)) / 5, 9);
        },
      ),
    );
  });

  test("does not change its fall with the unit, and turns with the direction", () => {
    fc.assert(
      fc.property(losses, fc.double({ min: 0.1, max: 100, noNaN: true }), (values, unit) => {
        const trend = trendOf(values);
        expect(trendOf(values.map((value) => unit * value))?.fall).toBeCloseTo(trend?.fall ?? Number.NaN, 6);
        expect(trendOf([...values].reverse())?.slope).toBeCloseTo(-(trend?.slope ?? Number.NaN), 9);
      }),
    );
  });

  test("says nothing of too few values, or of values that are not finite", () => {
    expect(trendOf([1])).toBeUndefined();
    expect(trendOf([1, Number.NaN, 2])).toBeUndefined();
    expect(trendOf([1, Number.POSITIVE_INFINITY])).toBeUndefined();
  });
});

describe("a plateau", () => {
  const rule = { window: 4, improvement: 0.1 };

  test("is where the last losses fall by less than asked, whatever was before them", () => {
    expect(plateauOf([9, 5, 1, 1, 1, 1], rule)).toBeDefined();
    expect(plateauOf([1, 1, 1, 1, 0.9, 0.8, 0.7], rule)).toBeUndefined();
    expect(plateauOf([1, 1.1, 1.2, 1.3], rule)).toBeDefined();
  });

  test("takes as many observations as asked", () => {
    expect(plateauOf([1, 1, 1], rule)).toBeUndefined();
  });

  test("is never one more easily where more improvement is asked less of", () => {
    fc.assert(
      fc.property(losses, fc.double({ min: 0, max: 0.5, noNaN: true }), (values, improvement) => {
        const strict = plateauOf(values, { window: 3, improvement });
        if (strict) expect(plateauOf(values, { window: 3, improvement: improvement + 0.1 })).toBeDefined();
      }),
    );
  });
});
