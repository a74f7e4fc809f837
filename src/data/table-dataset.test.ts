/** Which rows of a table serve what. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Dataset, Rows } from "../contracts/dataset.js";
import { absoluteDataName } from "./digest.node.js";
import { openDataset } from "./open.js";
import { groupSplit, latestSplit } from "./split.js";
import { datasetFromTable } from "./table-dataset.js";
import type { TableOptions } from "./table-options.js";

/** Rows known by their number, which is their one input; 60 of them, in twelve groups, later ones earlier in time. */
const COLUMNS = ["id", "patient", "day", "label"];
const RECORDS = Array.from({ length: 60 }, (_, i) => [
  String(i),
  `p${i % 12}`,
  `2024-03-${String(31 - (i % 31)).padStart(2, "0")}`,
  String(i % 2),
]);

function divided(options: TableOptions): Record<"train" | "heldOut" | "test", number[]> {
  const drop = ["patient", "day"].filter((column) => column !== options.group && column !== options.time);
  const dataset = datasetFromTable({ columns: COLUMNS, records: RECORDS }, "t", { ...options, drop });
  return {
    train: idsIn(dataset, dataset.train),
    heldOut: idsIn(dataset, dataset.heldOut),
    test: idsIn(dataset, dataset.test),
  };
}

function idsIn({ columns }: Dataset, { inputs }: Rows): number[] {
  const [column] = columns ?? [];
  if (!column || "categories" in column) throw new Error("the id is a number");
  return Array.from(inputs, (value) => Math.round(value * column.deviation + column.mean));
}

test("no group is in two splits, and every row in one", () => {
  const { train, heldOut, test: tested } = divided({ group: "patient" });
  expect([...train, ...heldOut, ...tested].sort((a, b) => a - b)).toEqual(RECORDS.map((_, i) => i));
  const groups = [train, heldOut, tested].map((ids) => new Set(ids.map((id) => id % 12)));
  expect(groups.map(({ size }) => size).reduce((a, b) => a + b)).toBe(12);
  expect(groups.every(({ size }) => size > 0)).toBe(true);
});

test("the latest rows are the test set, and those before them held out", () => {
  const dayOf = (id: number): number => 31 - (id % 31);
  const { train, heldOut, test: tested } = divided({ time: "day" });
  expect(tested).toHaveLength(12);
  expect(Math.min(...tested.map(dayOf))).toBeGreaterThanOrEqual(Math.max(...heldOut.map(dayOf)));
  expect(Math.min(...heldOut.map(dayOf))).toBeGreaterThanOrEqual(Math.max(...train.map(dayOf)));
});

test("splits that cannot be are refused", () => {
  expect(() => divided({ group: "patient", time: "day" })).toThrow("give group or time, not both");
  expect(() => divided({ group: "ward" })).toThrow('there is no column "ward"');
  expect(() => divided({ time: "patient" })).toThrow(
    'row 1, column "patient" has "p0", which is no number and no date',
  );
  const one = {
    columns: ["x", "g", "label"],
    records: [
      ["1", "a", "0"],
      ["2", "a", "1"],
    ],
  };
  expect(() => datasetFromTable(one, "t", { group: "g" })).toThrow(/too few groups in column "g"/);
});

test("a part taken by group or by time is about as large as asked for, and the same every time", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat({ max: 20 }), { minLength: 2, maxLength: 200 }),
      fc.double({ min: 0.05, max: 0.95, noNaN: true }),
      fc.nat(),
      (numbers, fraction, seed) => {
        const groups = {
          codes: Int32Array.from(numbers),
          names: Array.from({ length: 21 }, (_, i) => `g${i}`),
        };
        const largest = Math.max(
          ...[...new Set(numbers)].map((group) => numbers.filter((one) => one === group).length),
        );
        const { taken } = groupSplit(groups, fraction, seed);
        expect(taken.length).toBeLessThanOrEqual(fraction * numbers.length + largest);
        expect(groupSplit(groups, fraction, seed).taken).toEqual(taken);
        const latest = latestSplit(Float64Array.from(numbers), fraction);
        const at = (row: number): number => numbers[row] ?? 0;
        expect(Math.min(...[...latest.taken].map(at))).toBeGreaterThanOrEqual(
          Math.max(...[...latest.kept].map(at)),
        );
        expect(latest.taken.length + latest.kept.length).toBe(numbers.length);
      },
    ),
  );
});

describe("a test file of one's own", () => {
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "kasmina-test-file-"));
    const rows = (from: number) => Array.from({ length: 30 }, (_, i) => `${from + i},${i % 2 ? "b" : "a"}`);
    await writeFile(join(root, "train.csv"), ["x,label", ...rows(0)].join("\n"));
    const swapped = rows(100).map((row) => row.split(",").reverse().join(","));
    await writeFile(join(root, "test.csv"), ["label,x", ...swapped].join("\n"));
    await writeFile(join(root, "other.csv"), "label,y\na,1\n");
  });
  afterAll(() => rm(root, { recursive: true }));

  test("is the test set, whatever the order of its columns, and nothing is learned from it", async () => {
    const dataset = await openDataset(`csv:${join(root, "train.csv")}?test_file=${join(root, "test.csv")}`);
    expect(idsIn(dataset, dataset.test)).toEqual(Array.from({ length: 30 }, (_, i) => 100 + i));
    expect(dataset.train.count + dataset.heldOut.count).toBe(30);
    expect(dataset.columns).toEqual([
      { name: "x", mean: expect.closeTo(14.5, -1), deviation: expect.any(Number) },
    ]);
  });

  test("lies where it lies, in whatever folder the run goes on", () => {
    expect(absoluteDataName("csv:/a/train.csv?label=k&test_file=/b/50%&c.csv")).toBe(
      "csv:/a/train.csv?label=k&test_file=/b/50%25%26c.csv",
    );
    expect(absoluteDataName("csv:a.csv?test_file=b.csv")).toBe(
      `csv:${join(process.cwd(), "a.csv")}?test_file=${join(process.cwd(), "b.csv")}`,
    );
  });

  test("without a column, or beside a fraction, is refused", async () => {
    const train = join(root, "train.csv");
    await expect(openDataset(`csv:${train}?test_file=${join(root, "other.csv")}`)).rejects.toThrow(
      'its test_file has no column "x"',
    );
    await expect(openDataset(`csv:${train}?test=0.2&test_file=${train}`)).rejects.toThrow(
      "give test or test_file",
    );
  });
});
