import { expect, test } from "vitest";
import { datasetFromText, makeSpirals } from "../../data/index.js";
import { evaluationBatchOf, heldOutRows } from "./held-out-rows.js";

test.each([
  [90, 15],
  [100_000, 1],
])("a text of %i different characters is evaluated by %i rows at once", (classes, rows) => {
  const text = Array.from({ length: 2 * classes + 20_000 }, (_, i) =>
    String.fromCodePoint(0x1_0000 + (i % classes)),
  );
  const dataset = datasetFromText(text.join(""), "text");
  expect(dataset.classes).toBe(classes + 1);
  expect(evaluationBatchOf(dataset)).toBe(rows);
});

test.each([
  [40, 4],
  [2_000, 50],
  [50_000, 64],
])("of %i rows with a label each %i are evaluated at once, so that little is padding", (train, rows) => {
  expect(evaluationBatchOf(makeSpirals({ train }))).toBe(rows);
});

const dataset = makeSpirals({ train: 20_000, test: 1_000 });
/** A training step that costs as much as three evaluations of as many rows. */
function rowsOf({ epochs = 10, seed = 0 } = {}) {
  const evaluationBatch = evaluationBatchOf(dataset);
  const when = { stepsPerEpoch: 360, observeEverySteps: 60 };
  const hostFlops = { train: 3 * 50, evaluation: evaluationBatch };
  return heldOutRows({ dataset, epochs, evaluationBatch, hostFlops, seed, ...when });
}

test("an observation looks at as many rows as its part of the budget pays for, and at a batch at least", () => {
  // 60 steps cost as much as 9,000 evaluated rows, of which 3.6 % are for judging, and 40 % of that, less what the test rows take, for this.
  const { fixed, atTheEnd, rows } = rowsOf({ epochs: 1_000 });
  expect([fixed, atTheEnd]).toEqual([2 * rows.batch, 1_000]);
  // Of ten epochs the test rows take a part that counts, and of one all and more.
  for (const epochs of [10, 1]) expect(rowsOf({ epochs }).fixed).toBe(rows.batch);
});

test("which rows follows from the random seed", () => {
  const inputs = (seed: number) => [...rowsOf({ seed }).rows.at(0).inputs.data];
  expect(inputs(3)).toEqual(inputs(3));
  expect(inputs(3)).not.toEqual(inputs(4));
});
