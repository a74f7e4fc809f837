/** Rows that lie in a file: the same bits as in memory, in the same batches, however little of them is in memory at a time. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { AnyDataset } from "../contracts/dataset.js";
import { OrderedBatches, ShuffledBatches } from "./batches.js";
import { digestOfDataset } from "./digest.node.js";
import { StoredTable } from "./stored-inputs.node.js";
import type { Table } from "./table.js";
import { datasetFromTable } from "./table-dataset.js";
import type { TableOptions } from "./table-options.js";
import { TableReader } from "./table-reader.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kasmina-stored-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** Rows of numbers, of categories, of groups and times, with gaps. */
const tables = fc
  .array(
    fc.record({
      number: fc.double({ noNaN: true, min: -1e9, max: 1e9 }),
      colour: fc.constantFrom("red", "green", ""),
      day: fc.integer({ min: 1, max: 28 }),
      team: fc.constantFrom("a", "b", "c", "d"),
      price: fc.double({ noNaN: true, min: 0, max: 1 }),
    }),
    { minLength: 40, maxLength: 120 },
  )
  .map(
    (rows): Table => ({
      columns: ["number", "colour", "day", "team", "price", "label"],
      records: rows.map(({ number, colour, day, team, price }, i) => [
        i % 7 === 3 ? "" : String(number),
        colour,
        `2024-03-${String(day).padStart(2, "0")}`,
        team,
        String(price + 0.5 + (i % 2)),
        ["no", "yes", "maybe"][i % 3] ?? "",
      ]),
    }),
  );

const HOW: readonly TableOptions[] = [
  { drop: ["day"] },
  { time: "day", drop: ["team"] },
  { target: ["price"], drop: ["day", "label"] },
  { group: "team", drop: ["day"] },
  { weight: "price", drop: ["day"] },
  { weight: "price", time: "day", drop: ["team"] },
];

async function withStored<T>(
  table: Table,
  options: TableOptions,
  blockValues: number,
  use: (dataset: AnyDataset) => T,
): Promise<T> {
  const stored = new StoredTable(folder, "t", blockValues);
  try {
    const reader = new TableReader(table.columns, "t", options, stored);
    for (const record of table.records) reader.add(record);
    const dataset = reader.dataset();
    stored.closeCells();
    return use(dataset);
  } finally {
    await stored.close();
  }
}

/** A copy of all that the batches of some steps hold. */
function shuffled(dataset: AnyDataset, batch: number, steps: readonly number[]) {
  const batches = new ShuffledBatches(dataset, { batch, seed: 3 });
  return steps.map((step) => {
    const { inputs, labels, weights } = batches.at(step);
    return [Array.from(inputs.data), Array.from(labels.data), Array.from(weights?.data ?? [])];
  });
}

function ordered({ test: rows, inputShape }: AnyDataset, batch: number) {
  return Array.from(
    new OrderedBatches(rows, inputShape, batch).batches(),
    ({ inputs, labels, weights, count }) => [
      Array.from(inputs.data),
      Array.from(labels.data),
      Array.from(weights.data),
      count,
    ],
  );
}

test("a table in a file is the one in memory, bit for bit, whatever the size of blocks and batches", async () => {
  await fc.assert(
    fc.asyncProperty(
      tables,
      fc.constantFrom(...HOW),
      fc.integer({ min: 1, max: 300 }),
      fc.integer({ min: 1, max: 12 }),
      fc.array(fc.nat({ max: 60 }), { minLength: 1, maxLength: 4 }),
      async (table, how, blockValues, batch, jumps) => {
        const options: TableOptions = { fill: "mean", ...how };
        const memory = datasetFromTable(table, "t", options);
        // In order over the end of an epoch, and then anywhere, as after a rollback.
        const steps = [...Array.from({ length: 40 }, (_, step) => step), ...jumps];
        const size = Math.min(batch, memory.train.count);
        await withStored(table, options, blockValues, (stored) => {
          expect(digestOfDataset(stored)).toBe(digestOfDataset(memory));
          expect(shuffled(stored, size, steps)).toEqual(shuffled(memory, size, steps));
          expect(ordered(stored, batch)).toEqual(ordered(memory, batch));
        });
      },
    ),
    { numRuns: 25 },
  );
});

test("its files have no names, so that nothing is left of them", async () => {
  const stored = new StoredTable(join(folder, "not", "there", "yet"), "t");
  expect(await readdir(folder)).toEqual([]);
  stored.closeCells();
  await stored.close();
});
