import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { OutputTally } from "./metrics.js";

interface Case {
  readonly name: string;
  readonly classes: number;
  readonly labels: readonly number[];
  readonly logits: readonly number[];
  readonly loss: number;
  readonly confusion: readonly (readonly number[])[];
  readonly [metric: string]: unknown;
}

const { cases } = JSON.parse(readFileSync(new URL("./metrics.fixture.json", import.meta.url), "utf8")) as {
  cases: readonly Case[];
};

function tallied(classes: number, logits: readonly number[], labels: readonly number[]): OutputTally {
  const tally = new OutputTally(classes);
  tally.add(Float32Array.from(logits), Int32Array.from(labels));
  return tally;
}

describe("metrics are those of scikit-learn", () => {
  test.each(cases)("$name", ({ classes, logits, labels, loss, confusion, ...expected }) => {
    const tally = tallied(classes, logits, labels);
    const metrics = tally.classification();
    expect(tally.loss).toBeCloseTo(loss, 6);
    expect(metrics.confusion).toEqual(confusion);
    for (const metric of ["accuracy", "balanced_accuracy", "macro_f1", "micro_f1"] as const)
      expect(metrics[metric]).toBeCloseTo(expected[metric] as number, 12);
  });
});

test("who always says the same scores a half", () => {
  const classification = tallied(2, [1, 0, 1, 0, 1, 0, 1, 0], [0, 0, 0, 1]).classification();
  expect(classification).toMatchObject({ accuracy: 0.75, balanced_accuracy: 0.5 });
});

test("equal outputs share what is right", () => {
  expect(tallied(4, [0, 0, 0, 0], [2]).classification().accuracy).toBe(0.25);
});

test("outputs are counted as they come", () => {
  const tally = new OutputTally(2);
  tally.add(Float32Array.from([1, 0]), Int32Array.from([0]));
  tally.add(Float32Array.from([0, 1, 5, 0]), Int32Array.from([0, 1]));
  const whole = tallied(2, [1, 0, 0, 1, 5, 0], [0, 0, 1]);
  expect([tally.count, tally.loss, tally.classification()]).toEqual([3, whole.loss, whole.classification()]);
});

test("a sequence has a perplexity: e to the loss", () => {
  const tally = tallied(4, [0, 0, 0, 0, 0, 0, 0, 0], [1, 3]);
  expect(tally.sequence()).toEqual({ accuracy: 0.25, perplexity: expect.closeTo(4, 12) });
});

test("an output that is not finite is an error, not a wrong answer", () => {
  expect(() => tallied(2, [Number.NaN, 0], [1])).toThrow(/wrecked/);
});

test("of many classes no matrix is kept, and the rest is as ever", () => {
  const classes = 1_000;
  const logits = Array.from({ length: 3 * classes }, (_, i) => (i % classes === 7 ? 1 : 0));
  const metrics = tallied(classes, logits, [7, 7, 999]).classification();
  expect(metrics).toEqual({
    accuracy: expect.closeTo(2 / 3, 12),
    balanced_accuracy: 0.5,
    macro_f1: 0.4,
    micro_f1: expect.closeTo(2 / 3, 12),
  });
});
