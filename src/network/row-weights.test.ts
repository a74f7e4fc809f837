/** A row of weight k is k rows, and one of weight 0 is none: in what is learned from, and in whatever is judged by. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { float32, int32, type TaskId, type Tensors } from "../contracts/index.js";
import { type Arrays, type Backend, createWasmBackend, trace } from "../engine/index.js";
import { initHost, resmlp } from "../nn/index.js";
import { EvaluationSums, evaluationProgram } from "./evaluation.js";
import { stepGradients } from "./gradients.js";
import { evaluationOf } from "./tasks.js";
import { chooseThreshold } from "./threshold.js";
import { batchSpecs, parameterSpecs, type Topology } from "./topology.js";

/** Three outputs of a row, what they should be, and how often the row is there. */
const rowsOf = fc.array(
  fc.record({
    outputs: fc.tuple(...[0, 1, 2].map(() => fc.integer({ min: -4, max: 4 }).map((value) => value / 2))),
    label: fc.integer({ min: 0, max: 2 }),
    values: fc.tuple(...[0, 1, 2].map(() => fc.integer({ min: 0, max: 1 }))),
    weight: fc.integer({ min: 0, max: 3 }),
  }),
  { minLength: 1, maxLength: 12 },
);
type Row =
  typeof rowsOf extends fc.Arbitrary<infer R> ? (R extends readonly (infer One)[] ? One : never) : never;

function repeated(rows: readonly Row[]): Row[] {
  return rows.flatMap((row) => Array.from({ length: row.weight }, () => row));
}

describe.each<TaskId>([
  "classification",
  "next-token",
  "multilabel",
  "regression",
])("metrics of a %s", (task) => {
  /** In two parts, as outputs come some rows at a time. */
  const judged = (rows: readonly Row[], weights?: Float32Array) => {
    const isOfClasses = task === "classification" || task === "next-token";
    const half = rows.length >> 1;
    const outputs = async function* () {
      for (const part of [rows.slice(0, half), rows.slice(half)])
        if (part.length > 0) yield Float32Array.from(part.flatMap((row) => row.outputs));
    };
    const labels = isOfClasses
      ? Int32Array.from(rows, ({ label }) => label)
      : Float32Array.from(rows.flatMap(({ values }) => values));
    return evaluationOf(outputs(), { task, classes: 3, labels, rows: rows.length, weights });
  };

  test("are those of rows that are there as often as they count", () =>
    fc.assert(
      fc.asyncProperty(rowsOf, async (rows) => {
        fc.pre(rows.some(({ weight }) => weight > 0));
        const weighed = await judged(
          rows,
          Float32Array.from(rows, ({ weight }) => weight),
        );
        const plain = await judged(repeated(rows));
        expect(weighed.loss).toBeCloseTo(plain.loss, 9);
        expect(rounded(weighed.metrics)).toEqual(rounded(plain.metrics));
      }),
    ));
});

/** What sums in another order differ by. */
function rounded(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (_, one) =>
    typeof one === "number" ? Number(one.toFixed(9)) + 0 : one,
  );
}

test("positions of a sequence count as their row does", async () => {
  const outputs = Float32Array.of(2, 0, 0, 1, 3, 0, 0, 0);
  const labels = Int32Array.of(0, 0, 1, 1);
  const judged = (weights: Float32Array) =>
    evaluationOf(
      (async function* () {
        yield outputs;
      })(),
      { task: "next-token", classes: 2, labels, rows: 2, weights },
    );
  expect((await judged(Float32Array.of(2, 0))).metrics).toMatchObject({ accuracy: 0.5 });
  expect((await judged(Float32Array.of(0, 2))).metrics).toMatchObject({ accuracy: 0.25 });
});

test.each(["balanced_accuracy", "f1"] as const)("a threshold for %s is that of the repeated rows", (aim) => {
  const threshold = (rows: readonly Row[], weights?: Float32Array): number =>
    chooseThreshold(
      Float32Array.from(rows.flatMap(({ outputs: [a = 0, b = 0] }) => [a, b])),
      Int32Array.from(rows, ({ label }) => label % 2),
      aim,
      weights,
    );
  fc.assert(
    fc.property(rowsOf, (rows) => {
      const all = repeated(rows);
      fc.pre(new Set(all.map(({ label }) => label % 2)).size === 2);
      // A row that counts for nothing may lie between two others, but moves no value.
      const counted = rows.filter(({ weight }) => weight > 0);
      const weights = Float32Array.from(counted, ({ weight }) => weight);
      expect(threshold(counted, weights)).toBeCloseTo(threshold(all), 9);
    }),
  );
});

describe("a step and an evaluation", () => {
  const host = resmlp({ inputShape: [2], classes: 2, width: 4, depth: 1 });
  const INPUTS = [
    [0.5, -1],
    [2, 0.25],
    [-0.75, 1.5],
    [1, 1],
  ];
  const LABELS = [0, 1, 1, 0];
  let backend: Backend;
  beforeAll(async () => {
    backend = await createWasmBackend();
  });
  afterAll(() => backend.dispose());

  const topologyOf = (rowWeights: boolean): Topology => ({
    host,
    sites: [],
    hostGradient: "detach",
    loss: { rowWeights, classWeights: [1, 3] },
  });

  function batchOf(places: readonly number[], weights?: readonly number[]): Tensors {
    return {
      x: float32([places.length, 2], Float32Array.from(places.flatMap((place) => INPUTS[place] ?? []))),
      y: int32(
        [places.length],
        Int32Array.from(places, (place) => LABELS[place] ?? 0),
      ),
      ...(weights && { weight: float32([weights.length], Float32Array.from(weights)) }),
    };
  }

  async function outputsOf(topology: Topology, batch: Tensors, rows: number) {
    const program = await backend.compile(
      trace({
        name: "gradients",
        state: parameterSpecs(topology),
        batch: { ...batchSpecs(host, rows, topology.loss) },
        controls: {},
        run: (state, arrays, controls) => {
          const { loss, gradients } = stepGradients(topology, state, controls, arrays as never);
          return { state: {}, outputs: { loss, ...gradients } as Arrays };
        },
      }),
    );
    const state = backend.createState();
    state.write(initHost(host, 3));
    const outputs = await program.run(state, batch, {});
    return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, [...data]]));
  }

  test("have the loss and the gradients of the repeated rows", async () => {
    const weighed = await outputsOf(topologyOf(true), batchOf([0, 1, 2, 3], [2, 0, 1, 3]), 4);
    const plain = await outputsOf(topologyOf(false), batchOf([0, 0, 2, 3, 3, 3]), 6);
    for (const [name, values] of Object.entries(plain))
      values.forEach((value, i) => {
        expect(weighed[name]?.[i], name).toBeCloseTo(value, 5);
      });
    expect(Math.abs(plain.loss?.[0] ?? 0)).toBeGreaterThan(0.1);
  });

  test("are unmoved by a factor of all weights, and by a batch of rows that count for nothing", async () => {
    const one = await outputsOf(topologyOf(true), batchOf([0, 1, 2, 3], [2, 0, 1, 3]), 4);
    const tenfold = await outputsOf(topologyOf(true), batchOf([0, 1, 2, 3], [20, 0, 10, 30]), 4);
    expect(tenfold.loss?.[0]).toBeCloseTo(one.loss?.[0] ?? Number.NaN, 6);
    const none = await outputsOf(topologyOf(true), batchOf([0, 1], [0, 0]), 2);
    expect(
      Object.values(none)
        .flat()
        .every((value) => value === 0),
    ).toBe(true);
  });

  test("add up an evaluation over repeated rows, and say that rows of different weights are fewer", async () => {
    const evaluated = async (topology: Topology, places: readonly number[], weights: readonly number[]) => {
      const program = await backend.compile(trace(evaluationProgram(topology, places.length)));
      const state = backend.createState();
      state.write(initHost(host, 3));
      const sums = new EvaluationSums();
      sums.add(await program.run(state, batchOf(places, weights), {}));
      return sums.result(topology);
    };
    const weighed = await evaluated(topologyOf(true), [0, 1, 2, 3], [2, 0, 1, 3]);
    const plain = await evaluated(topologyOf(false), [0, 0, 2, 3, 3, 3], [1, 1, 1, 1, 1, 1]);
    expect(weighed.rows).toBe(6);
    expect(weighed.loss.value).toBeCloseTo(plain.loss.value, 5);
    expect(weighed.score.value).toBeCloseTo(plain.score.value, 6);
    // (2 + 1 + 3)² / (2² + 1² + 3²) = 2.6 rows in the place of 6.
    expect(weighed.loss.stdErr / plain.loss.stdErr).toBeCloseTo(Math.sqrt(5 / (36 / 14 - 1)), 4);
  });
});
