/** What a table says is to be predicted, and own arrays of numbers and of labels. */
import { describe, expect, test } from "vitest";
import type { Dataset, Rows } from "../contracts/dataset.js";
import { datasetFromArrays } from "./arrays.js";
import { datasetFromCsv } from "./csv.js";
import { digestOfDataset } from "./digest.node.js";
import type { TableOptions } from "./table-options.js";

/** 40 rows; `price` grows with x, `area` is larger by far. */
const LINES = Array.from(
  { length: 40 },
  (_, i) => `${i},${i % 3},${1000 + 2 * i},${1e12 + i},${i % 2},${i % 5 === 0 ? "true" : "false"}`,
);
const TEXT = ["x,kind,price,area,odd,fifth", ...LINES].join("\n");

function read(options: TableOptions): Dataset {
  return datasetFromCsv(TEXT, "t", { drop: [], ...options });
}

/** Targets as the table has them. */
function ownUnits({ targets = [] }: Dataset, { labels }: Rows): number[] {
  return Array.from(labels, (label, i) => {
    const { mean = 0, deviation = 1 } = targets[i % targets.length] ?? {};
    return label * deviation + mean;
  });
}

describe("numbers to be predicted", () => {
  test("are scaled by the training rows, and no inputs", () => {
    const dataset = read({ target: ["price"], drop: ["area"] });
    expect(dataset).toMatchObject({ task: "regression", classes: 1, inputShape: [5] });
    expect(dataset.columns?.map(({ name }) => name)).toEqual(["x", "kind", "odd", "fifth"]);
    const { mean = 0, deviation = 0 } = dataset.targets?.[0] ?? {};
    const prices = ownUnits(dataset, dataset.train);
    expect(prices.reduce((sum, price) => sum + price, 0) / prices.length).toBeCloseTo(mean, 3);
    expect(deviation).toBeCloseTo(23, -1);
    const all = [dataset.train, dataset.heldOut, dataset.test].flatMap((rows) => ownUnits(dataset, rows));
    expect(all.map(Math.round).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 40 }, (_, i) => 1000 + 2 * i),
    );
  });

  test("keep differences that float32 would lose", () => {
    const dataset = read({ target: ["price", "area"] });
    const areas = ownUnits(dataset, dataset.train).filter((_, i) => i % 2 === 1);
    expect(new Set(areas.map((area) => Math.round(area - 1e12))).size).toBe(dataset.train.count);
  });

  test("may be asked for by the task", () => {
    const named = read({ label: "price", task: "regression" });
    expect(digestOfDataset(named)).toBe(digestOfDataset(read({ target: ["price"] })));
    expect(digestOfDataset(named)).not.toBe(digestOfDataset(read({ target: ["x"] })));
  });
});

test("several labels are zeros and ones, in the order in which they are named", () => {
  const dataset = read({ labels: ["fifth", "odd"], drop: ["area"] });
  expect(dataset).toMatchObject({
    task: "multilabel",
    classes: 2,
    classNames: ["fifth", "odd"],
    inputShape: [3],
  });
  expect(dataset.train.labels).toBeInstanceOf(Float32Array);
  const all = [dataset.train, dataset.heldOut, dataset.test].flatMap(({ labels }) => [...labels]);
  expect(all.filter((_, i) => i % 2 === 0).reduce((a, b) => a + b)).toBe(8);
  expect(all.filter((_, i) => i % 2 === 1).reduce((a, b) => a + b)).toBe(20);
});

describe("what cannot be predicted is one clear line", () => {
  const withCell = (column: number, cell: string): string => {
    const lines = TEXT.split("\n").map((line) => line.split(","));
    (lines[8] as string[])[column] = cell;
    return lines.map((cells) => cells.join(",")).join("\n");
  };
  test.each<[string, string, TableOptions, string]>([
    [
      "a target that is a text",
      withCell(2, "dear"),
      { target: ["price"] },
      't: row 8, column "price": "dear" is no number, which a target must be',
    ],
    [
      "a target that is missing",
      withCell(2, ""),
      { target: ["price"] },
      't: row 8, column "price": no target',
    ],
    [
      "one that says so",
      withCell(2, "NA"),
      { target: ["price"] },
      't: row 8, column "price": no target ("NA" says so',
    ],
    [
      "an infinite one",
      withCell(2, "1e999"),
      { target: ["price"] },
      't: row 8, column "price": "1e999" is no number',
    ],
    ["a decimal comma", withCell(2, '"1,5"'), { target: ["price"] }, "is no number"],
    [
      "a label of another number",
      withCell(4, "2"),
      { labels: ["odd"] },
      't: row 8, column "odd": "2" is neither 0 nor 1',
    ],
    ["a label that is missing", withCell(4, ""), { labels: ["odd"] }, 't: row 8, column "odd": no label'],
    [
      "a label that is a text",
      withCell(5, "yes"),
      { labels: ["odd", "fifth"] },
      't: row 8, column "fifth": "yes" is neither 0 nor 1',
    ],
    [
      "a column that is not there",
      TEXT,
      { target: ["prize"] },
      't: there is no column "prize"; the columns are x, kind, price, area, odd, fifth',
    ],
    ["one of several that is not there", TEXT, { labels: ["odd", "even"] }, 't: there is no column "even"'],
    [
      "a column that is named twice",
      TEXT,
      { target: ["price", "price"] },
      't: column "price" is named twice',
    ],
    [
      "two kinds of labels",
      TEXT,
      { label: "kind", target: ["price"] },
      "t: give one of label, labels and target, not two of them",
    ],
    [
      "a class for each row",
      TEXT,
      { label: "price" },
      't: the label "price" is another one in each of the 40 rows; a number is predicted with ?target=price',
    ],
    [
      "two classes a row",
      TEXT,
      { target: ["price", "area"], task: "classification" },
      "t: a classification has one label, not price, area",
    ],
    [
      "a target that never varies",
      "x,y\n1,5\n2,5\n3,5\n4,5\n5,5\n6,5\n7,5\n8,5\n9,5\n10,5\n11,5\n",
      { target: ["y"] },
      't: the target "y" is 5 in every row: there is nothing to predict',
    ],
    [
      "a label that never holds",
      "x,y\n1,0\n2,0\n3,0\n4,0\n5,0\n6,0\n7,0\n8,0\n9,0\n10,0\n11,0\n",
      { labels: ["y"] },
      't: the label "y" is 0 in every row: there is nothing to predict',
    ],
    [
      "a semicolon in a label's name",
      'x,"a;b"\n1,0\n2,1\n',
      { labels: ["a;b"] },
      "t: a label's name holds a semicolon: rename a;b",
    ],
    ["nothing but the target", "y\n1\n2\n", { target: ["y"] }, "t has no column beside the target"],
    ["no rows", "x,y\n", { target: ["y"] }, "no rows"],
    ["too few rows", "x,y\n1,2\n2,3\n", { target: ["y"] }, "too few"],
  ])("%s", (_, text, options, problem) => {
    expect(() => datasetFromCsv(text, "t", options)).toThrow(problem);
  });
});

describe("own arrays", () => {
  const inputs = Array.from({ length: 30 }, (_, i) => [i / 30, (i * 7) % 5]);

  test("of numbers, one a row or several", () => {
    const one = datasetFromArrays({
      task: "regression",
      train: { inputs, labels: inputs.map(([x = 0]) => 3 * x) },
    });
    expect(one).toMatchObject({ task: "regression", classes: 1, targets: [{ name: "0" }] });
    expect(one.train.labelShape).toEqual([1]);
    const two = datasetFromArrays({
      task: "regression",
      classNames: ["sum", "difference"],
      train: { inputs, labels: inputs.map(([x = 0, y = 0]) => [x + y, x - y]) },
    });
    expect(two.targets?.map(({ name }) => name)).toEqual(["sum", "difference"]);
    expect(two).not.toHaveProperty("classNames");
  });

  test("of labels", () => {
    const labels = inputs.map(([x = 0, y = 0]) => [x > 0.5 ? 1 : 0, y > 2 ? 1 : 0]);
    const dataset = datasetFromArrays({
      task: "multilabel",
      classNames: ["late", "high"],
      train: { inputs, labels },
    });
    expect(dataset).toMatchObject({ task: "multilabel", classes: 2, classNames: ["late", "high"] });
  });

  test.each<[string, Parameters<typeof datasetFromArrays>[0], string]>([
    [
      "a number for a class",
      { train: { inputs, labels: inputs.map(([x = 0]) => x) } },
      'arrays, train: label 0.03333333333333333 of row 1 is no class number; numbers are predicted with task "regression"',
    ],
    [
      "a target that is not finite",
      { task: "regression", train: { inputs, labels: inputs.map((_, i) => (i === 4 ? Number.NaN : i)) } },
      "arrays, train: target 0 of row 4 is NaN",
    ],
    [
      "a target that never varies",
      { task: "regression", train: { inputs, labels: inputs.map(() => 7) } },
      'arrays: target "0" is 7 in every training row',
    ],
    [
      "a label of 2",
      { task: "multilabel", train: { inputs, labels: inputs.map(() => 2) } },
      "arrays, train: label 2 of row 0 is outside the 2 classes 0..1",
    ],
    [
      "targets for some rows",
      { task: "regression", train: { inputs, labels: [1, 2, 3] } },
      "arrays: 30 rows have 3 labels",
    ],
  ])("%s is refused", (_, arrays, problem) => {
    expect(() => datasetFromArrays(arrays)).toThrow(problem);
  });
});
