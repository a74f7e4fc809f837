import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { TargetScaling } from "../contracts/index.js";
import { ClassificationTally, MultilabelTally, RegressionTally, SequenceTally } from "./metrics.js";

interface Case {
  readonly name: string;
  readonly classes: number;
  readonly labels: readonly number[];
  readonly logits: readonly number[];
  readonly loss: number;
  readonly confusion: readonly (readonly number[])[];
  readonly [metric: string]: unknown;
}

interface ValuesCase {
  readonly name: string;
  readonly labels: readonly number[];
  readonly outputs: readonly number[];
  readonly loss: number;
  readonly each: readonly Readonly<Record<string, number | null>>[];
}

interface RegressionCase extends ValuesCase {
  readonly targets: readonly TargetScaling[];
  readonly metrics: Readonly<Record<"rmse" | "mae" | "r2", number>>;
}

interface MultilabelCase extends ValuesCase {
  readonly classes: number;
  readonly [metric: string]: unknown;
}

const { cases, regressions, multilabels } = JSON.parse(
  readFileSync(new URL("./metrics.fixture.json", import.meta.url), "utf8"),
) as {
  cases: readonly Case[];
  regressions: readonly RegressionCase[];
  multilabels: readonly MultilabelCase[];
};

function tallied(classes: number, logits: readonly number[], labels: readonly number[]): ClassificationTally {
  const tally = new ClassificationTally(classes);
  tally.add(Float32Array.from(logits), Int32Array.from(labels));
  return tally;
}

/** In two parts: outputs come some rows at a time. */
function addInTwo(
  tally: RegressionTally | MultilabelTally,
  outputs: readonly number[],
  labels: readonly number[],
  half: number,
): void {
  for (const [from, to] of [
    [0, half],
    [half, outputs.length],
  ] as const)
    tally.add(Float32Array.from(outputs.slice(from, to)), Float32Array.from(labels.slice(from, to)));
}

describe("metrics are those of scikit-learn", () => {
  test.each(cases)("$name", ({ classes, logits, labels, loss, confusion, ...expected }) => {
    const tally = tallied(classes, logits, labels);
    const metrics = tally.metrics();
    expect(tally.loss).toBeCloseTo(loss, 6);
    expect(metrics.confusion).toEqual(confusion);
    for (const metric of ["accuracy", "balanced_accuracy", "macro_f1", "micro_f1"] as const)
      expect(metrics[metric]).toBeCloseTo(expected[metric] as number, 12);
  });

  test.each(regressions)("$name, in the target's own units", ({
    targets,
    outputs,
    labels,
    loss,
    ...expected
  }) => {
    const tally = new RegressionTally(targets);
    addInTwo(tally, outputs, labels, targets.length * 7);
    const metrics = tally.metrics();
    expect(tally.loss).toBeCloseTo(loss, 6);
    const own = targets.length === 1 ? [metrics] : Object.values(metrics.targets ?? {});
    for (const [i, each] of [expected.metrics, ...expected.each].entries())
      for (const metric of ["rmse", "mae", "r2"] as const)
        expect(Number([metrics, ...own][i]?.[metric]) / Number(each[metric])).toBeCloseTo(1, 6);
  });

  test.each(multilabels)("$name", ({ classes, outputs, labels, loss, each, ...expected }) => {
    const tally = new MultilabelTally(Array.from({ length: classes }, (_, i) => `label ${i}`));
    addInTwo(tally, outputs, labels, classes * 7);
    const metrics = tally.metrics();
    expect(tally.loss).toBeCloseTo(loss, 5);
    for (const metric of ["average_precision", "macro_f1", "micro_f1", "hamming_loss"] as const)
      expect(metrics[metric]).toBeCloseTo(expected[metric] as number, 12);
    for (const [i, own] of Object.values(metrics.labels).entries())
      for (const metric of ["average_precision", "precision", "recall", "f1"] as const)
        if (own[metric] === null) expect(each[i]?.[metric]).toBeNull();
        else expect(own[metric]).toBeCloseTo(each[i]?.[metric] as number, 12);
  });
});

test("who always says the same scores a half", () => {
  const classification = tallied(2, [1, 0, 1, 0, 1, 0, 1, 0], [0, 0, 0, 1]).metrics();
  expect(classification).toMatchObject({ accuracy: 0.75, balanced_accuracy: 0.5 });
});

test("equal outputs share what is right", () => {
  expect(tallied(4, [0, 0, 0, 0], [2]).metrics().accuracy).toBe(0.25);
});

test("outputs are counted as they come", () => {
  const tally = new ClassificationTally(2);
  tally.add(Float32Array.from([1, 0]), Int32Array.from([0]));
  tally.add(Float32Array.from([0, 1, 5, 0]), Int32Array.from([0, 1]));
  const whole = tallied(2, [1, 0, 0, 1, 5, 0], [0, 0, 1]);
  expect([tally.loss, tally.metrics()]).toEqual([whole.loss, whole.metrics()]);
});

test("a sequence has a perplexity: e to the loss", () => {
  const tally = new SequenceTally(4);
  tally.add(new Float32Array(8), Int32Array.from([1, 3]));
  expect(tally.metrics()).toEqual({ accuracy: 0.25, perplexity: expect.closeTo(4, 12) });
});

test("what does not vary is told where it is hit, and is not where it is missed", () => {
  const r2 = (output: number): number => {
    const tally = new RegressionTally([{ name: "y", mean: 3, deviation: 2 }]);
    tally.add(Float32Array.of(output, output), Float32Array.of(1, 1));
    return tally.metrics().r2;
  };
  expect([r2(1), r2(0.5)]).toEqual([1, 0]);
});

test("an output that is not finite is an error, not a wrong answer", () => {
  expect(() => tallied(2, [Number.NaN, 0], [1])).toThrow(/wrecked/);
});

test("of many classes no matrix is kept, and the rest is as ever", () => {
  const classes = 1_000;
  const logits = Array.from({ length: 3 * classes }, (_, i) => (i % classes === 7 ? 1 : 0));
  const metrics = tallied(classes, logits, [7, 7, 999]).metrics();
  expect(metrics).toEqual({
    accuracy: expect.closeTo(2 / 3, 12),
    balanced_accuracy: 0.5,
    macro_f1: 0.4,
    micro_f1: expect.closeTo(2 / 3, 12),
  });
});
