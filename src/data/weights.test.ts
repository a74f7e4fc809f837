import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digestOfDataset } from "./digest.node.js";
import { datasetFromArrays, OrderedBatches, openDataset, ShuffledBatches } from "./index.js";
import { type Preprocessing, readUnseen } from "./unseen.js";
import { scaledWeights } from "./weights.js";

let root: string;
let path: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-weights-"));
  path = join(root, "t.csv");
  const lines = Array.from({ length: 40 }, (_, i) => `${i},${i % 2 ? "odd" : "even"},${i % 4}`);
  await writeFile(path, ["x,label,count", ...lines].join("\n"));
});
afterAll(() => rm(root, { recursive: true }));

describe("weights", () => {
  test("keep their proportions and have a mean of 1, however large they are", () => {
    const weight = fc.double({ min: 0, max: Number.MAX_VALUE, noNaN: true });
    fc.assert(
      fc.property(fc.array(weight, { minLength: 1, maxLength: 20 }), (given) => {
        fc.pre(given.some((one) => one > 0));
        const scaled = scaledWeights(given, given.length, "t");
        expect(scaled.every((one) => one >= 0 && Number.isFinite(one))).toBe(true);
        expect(scaled.reduce((total, one) => total + one, 0) / given.length).toBeCloseTo(1, 5);
      }),
    );
    expect([...scaledWeights([1, 3, 0], 3, "t")]).toEqual([0.75, 2.25, 0]);
  });

  test.each([
    [[1, 2], "t: 3 rows need as many weights, got 2"],
    [[1, -2, 1], "t: the weight of row 1 is -2, it must be 0 or more"],
    [[1, 2, Number.NaN], "t: the weight of row 2 is NaN, it must be 0 or more"],
    [[Number.POSITIVE_INFINITY, 2, 1], "t: the weight of row 0 is Infinity, it must be 0 or more"],
    [[0, 0, 0], "t: the weights of all rows are 0"],
  ])("%j are refused", (given, message) => {
    expect(() => scaledWeights(given, 3, "t")).toThrow(message);
  });
});

describe("a table with a column of weights", () => {
  test("has them beside its rows, and not among its inputs", async () => {
    const plain = await openDataset(`csv:${path}?drop=count`);
    const weighed = await openDataset(`csv:${path}?weight=count`);
    expect(weighed.columns).toEqual(plain.columns);
    for (const part of ["train", "heldOut", "test"] as const) {
      const { weights, ...rows } = weighed[part];
      expect(rows).toEqual(plain[part]);
      expect(weights).toHaveLength(rows.count);
    }
    const [mean = 0, deviation = 1] = [weighed.columns?.[0]].flatMap((column) =>
      column && "mean" in column ? [column.mean, column.deviation] : [],
    );
    const counts = Array.from(weighed.train.inputs, (value) => Math.round(value * deviation + mean) % 4);
    expect(weighed.train.weights).toEqual(scaledWeights(counts, counts.length, "t"));
    expect(digestOfDataset(weighed)).not.toBe(digestOfDataset(plain));
  });

  const how: Preprocessing = {
    ...{ inputShape: [1], task: "classification", classes: 2, classNames: ["even", "odd"] },
    columns: [{ name: "x", mean: 0, deviation: 1 }],
    table: { weight: "count" },
  };

  test("is judged by them, named again or not, but only where it has them", async () => {
    const data = `csv:${path}`;
    const named = await readUnseen(`${data}?weight=count`, { ...how, table: {} }, true);
    const known = await readUnseen(data, how, true);
    expect([named.weights?.length, named.ignored]).toEqual([40, []]);
    expect([known.weights, known.ignored]).toEqual([named.weights, []]);
    const without = join(root, "without.csv");
    await writeFile(without, "x,label\n1,odd\n2,even\n");
    expect(await readUnseen(`csv:${without}`, how, true)).not.toHaveProperty("weights");
    await expect(readUnseen(`csv:${without}?weight=w`, how, true)).rejects.toThrow(
      'there is no column "w"; the columns are x, label',
    );
    expect(await readUnseen(data, how, false)).not.toHaveProperty("weights");
  });
});

describe("arrays with weights", () => {
  const inputs = Array.from({ length: 30 }, (_, i) => [i, 30 - i]);
  const labels = inputs.map((_, i) => i % 2);
  const dataset = datasetFromArrays({ train: { inputs, labels, weights: inputs.map(([i = 0]) => i) } });

  test("keep each with its row, through splits and batches", () => {
    const [first] = new OrderedBatches(dataset.test, [2], 4).batches();
    const batch = new ShuffledBatches(dataset, { batch: 5, seed: 1 }).at(2);
    const perUnit = (weights: ArrayLike<number> = [], from: ArrayLike<number> = [], rows = 0): number[] =>
      Array.from({ length: rows }, (_, row) => (weights[row] ?? 0) / (from[2 * row] ?? 1));
    for (const values of [
      perUnit(first?.weights.data, first?.inputs.data, 4),
      perUnit(batch.weights?.data, batch.inputs.data, 5),
    ])
      for (const value of values) if (Number.isFinite(value)) expect(value).toBeCloseTo(values[0] ?? 0, 5);
  });

  test("have no weight where an evaluation is padded", () => {
    const [batch] = new OrderedBatches(dataset.test, [2], 64).batches();
    const { count } = dataset.test;
    expect(Array.from(batch?.weights.data ?? [])).toEqual([
      ...(dataset.test.weights ?? []),
      ...new Array(64 - count).fill(0),
    ]);
    expect(batch?.count).toBe(count);
  });

  test("whose split counts for nothing are refused by its name", () => {
    expect(() =>
      datasetFromArrays({ name: "mine", train: { inputs, labels, weights: inputs.map(() => 0) } }),
    ).toThrow("mine, train: the weights of all rows are 0");
  });
});
