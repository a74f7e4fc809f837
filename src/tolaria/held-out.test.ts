import { expect, test } from "vitest";
import {
  type EvaluationBatch,
  float32,
  int32,
  resolveParameters,
  type SeedPart,
} from "../contracts/index.js";
import type { Topology } from "../network/index.js";
import { builtinBlueprints, resmlp } from "../nn/index.js";
import { allowance } from "./evaluation-budget.js";
import { HeldOutLooks } from "./held-out.js";

const BATCH = 10;
const ROWS = 100;
const FIXED = 20;

/** Of a seed that takes `gains[row]` off the loss of a row; tells which rows were looked at. */
function scene(gainOf: (row: number) => number, { fixed = FIXED } = {}) {
  const rows = {
    batch: BATCH,
    count: ROWS,
    at: (from: number): EvaluationBatch => ({
      inputs: float32([BATCH, 1]),
      labels: int32(
        [BATCH],
        Int32Array.from({ length: BATCH }, (_, i) => from + i),
      ),
      weights: float32([BATCH], new Float32Array(BATCH).fill(1)),
      count: BATCH,
    }),
  };
  const looks = new HeldOutLooks({ rows, fixed, atTheEnd: 25 });
  const seen: number[] = [];
  const evaluate = async ({ labels }: EvaluationBatch) => {
    const numbers = [...labels.data];
    seen.push(...numbers);
    const [gains, total] = [
      numbers.map(gainOf),
      (values: number[]) => float32([], Float32Array.of(values.reduce((a, b) => a + b, 0))),
    ];
    return {
      loss: total(numbers),
      loss_squared: total(numbers.map((n) => n * n)),
      correct: total([0]),
      weight: total(numbers.map(() => 1)),
      "gain/s": total(gains),
      "gain_squared/s": total(gains.map((gain) => gain * gain)),
    };
  };
  const look = async (part: SeedPart | undefined, more: number) => {
    seen.length = 0;
    const result = await looks.look({ topology: topologyWith(part), evaluate, more });
    looks.restore(result.seen);
    return { ...result, gain: result.gains.get("s"), rows: [...seen] };
  };
  return { looks, look };
}

function topologyWith(part: SeedPart | undefined): Topology {
  const blueprint = builtinBlueprints.get("mlp-residual");
  const host = resmlp({ inputShape: [2], classes: 2, width: 4, depth: 1 });
  const site = { seedId: "s", slotId: "block1", blueprint, parameters: resolveParameters(blueprint) };
  return { host, hostGradient: "detach", sites: part ? [{ ...site, part }] : [] };
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
/** Nothing is clear of that: the mean is 0 over every two rows. */
const unclear = (row: number) => (row % 2 === 0 ? 1 : -1);

test("where nothing is judged the fixed rows are all that is looked at", async () => {
  const { look } = scene(unclear);
  for (const part of [undefined, "germinated", "blending", "grown"] as const)
    expect((await look(part, 100)).rows).toEqual(range(0, FIXED));
});

test("the loss is of the same rows, whatever else is looked at", async () => {
  const { look } = scene(unclear);
  const first = await look(undefined, 0);
  const second = await look("shadowing", 8);
  expect(second.rows.length).toBe(60);
  expect(second.loss).toEqual(first.loss);
});

test("pieces of the other rows go round, and count together as long as no row counts twice", async () => {
  const { look } = scene((row) => unclear(row) * (100 + row));
  const pieces = [];
  for (let i = 0; i < 3; i++) pieces.push((await look("shadowing", 8)).rows.slice(FIXED));
  expect(pieces).toEqual([range(20, 60), range(60, 100), range(20, 60)]);
  // Two pieces of 40 and the fixed rows: all 100 of them, each once.
  const { gain } = await look("shadowing", 0);
  expect(gain?.value).toBeCloseTo(-0.5, 3);
});

test("of a seed that learns the last three pieces count, and of another part none", async () => {
  let now = 0;
  const { look } = scene((row) => 50 * unclear(row) + now);
  // A tenth of 20 batches for one in TRAINING, half of 4 in PROBATIONARY: pieces of 20 rows, beside as many fixed ones.
  for (let i = 0; i < 3; i++) expect((await look("shadow", 20)).gain?.value).toBeCloseTo(0, 5);
  now = 1;
  expect((await look("shadow", 20)).gain?.value).toBeCloseTo(0.5, 5);
  expect((await look("probationary", 4)).gain?.value).toBeCloseTo(1, 5);
});

test("what is clear costs no more rows", async () => {
  const { look } = scene((row) => 10 + (row % 3));
  expect((await look("shadow", 100)).rows).toEqual(range(0, FIXED));
  const { look: lookAgain } = scene(() => Number.NaN);
  expect((await lookAgain("shadow", 100)).rows).toEqual(range(0, FIXED));
});

test("where all rows are looked at anyway there are no others", async () => {
  const { look } = scene(unclear, { fixed: ROWS });
  expect((await look("shadow", 100)).rows).toEqual(range(0, ROWS));
});

test("a look that was broken off is forgotten", async () => {
  const { looks } = scene(unclear);
  const before = looks.snapshot();
  const evaluate = () => Promise.reject(new Error("stopped"));
  await expect(looks.look({ topology: topologyWith("shadow"), evaluate, more: 9 })).rejects.toThrow(
    "stopped",
  );
  expect(looks.snapshot()).toEqual(before);
});

test("what may be spent grows with what training costs, and what the end takes is put aside", () => {
  const flops = { training: 1e6, shadow: 0, evaluation: 0, counterfactual: 0, isolation: 0 };
  const all = allowance({ flops, atTheEnd: 0, done: 0.5 });
  expect(all).toBeGreaterThan(0.03 * 1e6);
  expect(all).toBeLessThan(0.04 * 1e6);
  expect(allowance({ flops: { ...flops, shadow: 1e6 }, atTheEnd: 0, done: 0.5 })).toBeCloseTo(2 * all, 3);
  expect(
    allowance({ flops: { ...flops, evaluation: 100, counterfactual: 50 }, atTheEnd: 0, done: 0 }),
  ).toBeCloseTo(all - 150, 3);
  expect(allowance({ flops, atTheEnd: 1_000, done: 0.5 })).toBeCloseTo(all - 500, 3);
  expect(allowance({ flops, atTheEnd: 1e9, done: 0.5 })).toBe(0);
});
