import { expect, test } from "vitest";
import { datasetFromText } from "../../data/text.js";
import { evaluationBatchOf } from "./train-run.js";
import { describeRun } from "./train-run-suite.fixture.js";

describeRun("native");

test.each([
  [90, 256],
  [3_000, 21],
  [100_000, 1],
])("a text of %i different characters is evaluated by %i rows at once", (classes, rows) => {
  const text = Array.from({ length: 2 * classes + 4_000 }, (_, i) =>
    String.fromCodePoint(0x1_0000 + (i % classes)),
  );
  const dataset = datasetFromText(text.join(""), "text");
  expect(dataset.classes).toBe(classes + 1);
  expect(evaluationBatchOf(dataset)).toBe(rows);
});
