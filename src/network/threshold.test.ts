import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ClassificationTally } from "./metrics.js";
import { chooseThreshold, THRESHOLD_AIMS } from "./threshold.js";

const rows = fc.array(
  fc.record({ label: fc.integer({ min: 0, max: 1 }), margin: fc.integer({ min: -6, max: 6 }) }),
  {
    minLength: 2,
    maxLength: 40,
  },
);

/** What is to be highest, at a threshold, as the evaluation counts it. */
function valueAt(outputs: Float32Array, labels: Int32Array, aim: string, threshold: number): number {
  const tally = new ClassificationTally(2, threshold);
  tally.add(outputs, labels);
  const { balanced_accuracy, confusion } = tally.metrics();
  if (aim === "balanced_accuracy") return balanced_accuracy;
  const [[, wrong = 0] = [], [missed = 0, found = 0] = []] = confusion ?? [];
  return (2 * found) / (2 * found + wrong + missed);
}

describe.each(THRESHOLD_AIMS)("a threshold chosen for %s", (aim) => {
  test("is as good as any", () => {
    fc.assert(
      fc.property(rows, (all) => {
        fc.pre(new Set(all.map(({ label }) => label)).size === 2);
        const outputs = Float32Array.from(all.flatMap(({ margin }) => [0, margin / 2]));
        const labels = Int32Array.from(all, ({ label }) => label);
        const threshold = chooseThreshold(outputs, labels, aim);
        const own = valueAt(outputs, labels, aim, threshold);
        for (let other = 0; other <= 1; other += 1 / 64)
          expect(own).toBeGreaterThanOrEqual(valueAt(outputs, labels, aim, other) - 1e-12);
      }),
    );
  });

  test("is a half where nothing speaks for another one, and nothing where one class is missing", () => {
    const outputs = Float32Array.of(3, -3, 1, -1, -1, 1, -3, 3);
    expect(chooseThreshold(outputs, Int32Array.of(0, 0, 1, 1), aim)).toBeCloseTo(0.5, 6);
    expect(() => chooseThreshold(outputs, new Int32Array(4), aim)).toThrow(/all of one class/);
    expect(() => chooseThreshold(outputs.fill(Number.NaN), Int32Array.of(0, 0, 1, 1), aim)).toThrow(
      /wrecked/,
    );
  });
});
