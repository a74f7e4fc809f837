import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { datasetFromArrays, makeSpirals } from "./index.js";
import { stratifiedSplit } from "./split.js";

const good = { inputs: [0, 1, 2, 3, 4, 5], labels: [0, 1, 0] };
const options = { name: "mine", inputShape: [2], classes: 2, train: good, heldOut: good, test: good };

describe("arrays that cannot be used are refused by name", () => {
  test.each([
    [{ test: { inputs: [], labels: [] } }, "mine, test: no rows"],
    [
      { train: { inputs: [1], labels: [0] } },
      "mine, train: 1 labels and rows of shape [2] need 2 inputs, got 1",
    ],
    [{ test: { ...good, labels: [0, 1, 2] } }, "mine, test: label 2 of row 2 is outside the 2 classes 0..1"],
    [{ heldOut: { ...good, labels: [0, -1, 1] } }, "mine, heldOut: label -1 of row 1 is outside"],
    [{ train: { ...good, inputs: [0, 1, 2, Number.NaN, 4, 5] } }, "mine, train: input 1 of row 1 is NaN"],
    [{ classes: 1 }, "mine: needs at least 2 classes, got 1"],
  ])("%j", (change, message) => {
    expect(() => datasetFromArrays({ ...options, ...change })).toThrow(message);
  });

  test("typed arrays are kept, not copied", () => {
    const inputs = Float32Array.from(good.inputs);
    expect(datasetFromArrays({ ...options, test: { ...good, inputs } }).test.inputs).toBe(inputs);
  });
});

test("a split is seeded, disjoint, complete, and keeps the proportion of the classes", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(3), { minLength: 1, maxLength: 200 }), fc.nat(), (values, seed) => {
      const labels = Int32Array.from(values);
      const { kept, taken } = stratifiedSplit(labels, 0.2, seed);
      expect([...kept, ...taken].sort((a, b) => a - b)).toEqual(values.map((_, row) => row));
      expect(stratifiedSplit(labels, 0.2, seed)).toEqual({ kept, taken });
      for (const label of new Set(values)) {
        const total = values.filter((value) => value === label).length;
        const share = [...taken].filter((row) => labels[row] === label).length;
        expect(Math.abs(share - total * 0.2)).toBeLessThanOrEqual(1);
        expect(share).toBeLessThan(total);
      }
    }),
  );
});

describe("spirals", () => {
  test("a tenth of the training points is held out", () => {
    const { train, heldOut, test: last, inputShape, classes } = makeSpirals();
    expect([train.count, heldOut.count, last.count]).toEqual([1800, 200, 1000]);
    expect([inputShape, classes]).toEqual([[2], 2]);
  });

  test("the same seed makes the same points, another seed others", () => {
    expect(makeSpirals({ seed: 3 })).toEqual(makeSpirals({ seed: 3 }));
    expect(makeSpirals({ seed: 4 }).train.inputs).not.toEqual(makeSpirals({ seed: 3 }).train.inputs);
  });

  test("a nearest neighbour tells the arms apart, a line does not", () => {
    const { train, test: last } = makeSpirals();
    const nearest = (x: number, y: number): number => {
      let best = 0;
      let bestDistance = Number.POSITIVE_INFINITY;
      for (let i = 0; i < train.count; i++) {
        const distance = Math.hypot((train.inputs[2 * i] ?? 0) - x, (train.inputs[2 * i + 1] ?? 0) - y);
        if (distance < bestDistance) [best, bestDistance] = [i, distance];
      }
      return train.labels[best] ?? -1;
    };
    const score = (guess: (x: number, y: number) => number): number => {
      let right = 0;
      for (let i = 0; i < last.count; i++)
        if (guess(last.inputs[2 * i] ?? 0, last.inputs[2 * i + 1] ?? 0) === last.labels[i]) right++;
      return right / last.count;
    };
    expect(score(nearest)).toBeGreaterThan(0.97);
    for (let degrees = 0; degrees < 180; degrees += 15) {
      const [a, b] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
      const line = score((x, y) => (a * x + b * y > 0 ? 1 : 0));
      expect(Math.max(line, 1 - line)).toBeLessThan(0.8);
    }
  });
});
