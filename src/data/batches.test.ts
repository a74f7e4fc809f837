import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { datasetFromArrays, OrderedBatches, ShuffledBatches } from "./index.js";

/** Rows [i, -i] with label i % 2, so that a row can be recognised in a batch. */
function numbered(count: number) {
  const rows = {
    inputs: Array.from({ length: count }, (_, i) => [i, -i]).flat(),
    labels: Array.from({ length: count }, (_, i) => i % 2),
  };
  return datasetFromArrays({
    name: "numbered",
    inputShape: [2],
    classes: 2,
    train: rows,
    heldOut: rows,
    test: rows,
  });
}

function rowsOf(batches: ShuffledBatches, steps: readonly number[]): number[] {
  return steps.flatMap((step) => {
    const { inputs, labels } = batches.at(step);
    const rows = Array.from({ length: batches.batch }, (_, i) => inputs.data[2 * i] ?? -1);
    expect(Array.from(labels.data)).toEqual(rows.map((row) => row % 2));
    expect(rows.map((_, i) => (inputs.data[2 * i + 1] ?? 0) + 0)).toEqual(rows.map((row) => 0 - row));
    return rows;
  });
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

describe("shuffled batches", () => {
  test("an epoch holds each row at most once, and what it leaves out is less than a batch", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 4, max: 40 }),
        fc.integer({ min: 1, max: 4 }),
        fc.nat(),
        (n, batch, seed) => {
          const batches = new ShuffledBatches(numbered(n), { batch, seed });
          const rows = rowsOf(batches, range(0, batches.stepsPerEpoch));
          expect(new Set(rows).size).toBe(rows.length);
          expect(n - rows.length).toBeLessThan(batch);
        },
      ),
    );
  });

  test("each says which rows it has", () => {
    const batches = new ShuffledBatches(numbered(10), { batch: 3, seed: 1 });
    expect(batches.rows).toBe(10);
    for (const step of range(0, 7))
      expect(rowsOf(batches, [step])).toEqual([...(batches.at(step).rows ?? [])]);
  });

  test("epochs are in different orders, seeds too", () => {
    const batches = new ShuffledBatches(numbered(40), { batch: 8, seed: 1 });
    const [first, second] = [rowsOf(batches, range(0, 5)), rowsOf(batches, range(5, 10))];
    expect(second).not.toEqual(first);
    expect([...second].sort()).toEqual([...first].sort());
    expect(rowsOf(new ShuffledBatches(numbered(40), { batch: 8, seed: 2 }), range(0, 5))).not.toEqual(first);
  });

  test("may start at any step: the rows are those of a run from the beginning", () => {
    const whole = rowsOf(new ShuffledBatches(numbered(21), { batch: 4, seed: 7 }), range(0, 20));
    const resumed = rowsOf(new ShuffledBatches(numbered(21), { batch: 4, seed: 7 }), range(13, 20));
    expect(resumed).toEqual(whole.slice(13 * 4));
  });

  test("fill the same arrays again, without allocation", () => {
    const batches = new ShuffledBatches(numbered(20), { batch: 4, seed: 0 });
    expect(batches.at(3).inputs.data).toBe(batches.at(0).inputs.data);
  });

  test("bytes are scaled", () => {
    const rows = { inputs: Uint8Array.of(0, 51, 255, 102), labels: [0, 1] };
    const dataset = datasetFromArrays({
      name: "bytes",
      inputShape: [1, 2, 1],
      classes: 2,
      train: rows,
      heldOut: rows,
      test: rows,
    });
    const [batch] = new OrderedBatches(dataset.test, dataset.inputShape, 2).batches();
    expect(batch?.inputs.shape).toEqual([2, 1, 2, 1]);
    expect(Array.from(batch?.inputs.data ?? [])).toEqual([0, 0.2, 1, 0.4].map(Math.fround));
  });

  test.each([0, -1, 1.5, Number.NaN])("a batch of %s is refused", (batch) => {
    expect(() => new ShuffledBatches(numbered(20), { batch, seed: 0 })).toThrow(
      `batch must be a whole number`,
    );
  });

  test("a batch larger than the data is refused, with both numbers", () => {
    expect(() => new ShuffledBatches(numbered(20), { batch: 21, seed: 0 })).toThrow(
      "batch 21 is larger than the 20 training rows of numbered",
    );
  });
});

test("ordered batches cover every row once; padding has weight 0", () => {
  fc.assert(
    fc.property(fc.integer({ min: 4, max: 30 }), fc.integer({ min: 1, max: 35 }), (n, batch) => {
      const { test: rows, inputShape } = numbered(n);
      const seen: number[] = [];
      for (const { inputs, labels, weights, count } of new OrderedBatches(
        rows,
        inputShape,
        batch,
      ).batches()) {
        expect(labels.shape).toEqual([batch]);
        expect(Array.from(weights.data)).toEqual(range(0, batch).map((i) => (i < count ? 1 : 0)));
        expect(Array.from(inputs.data).slice(2 * count)).toEqual(new Array(2 * (batch - count)).fill(0));
        seen.push(...range(0, count).map((i) => inputs.data[2 * i] ?? -1));
      }
      expect(seen).toEqual(range(0, n));
    }),
  );
});
