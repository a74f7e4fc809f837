import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pooled, verdictOf } from "./evidence.js";

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
