import type { numpy as np } from "@jax-js/jax";
import { afterAll, describe, expect, test } from "vitest";
import { float32, type TaskId } from "../contracts/index.js";
import { type Backend, openBackend, trace } from "../engine/index.js";
import { type LossOptions, resmlp } from "../nn/index.js";
import { EvaluationSums } from "./evaluation.js";
import { taskFor } from "./tasks.js";

const ROWS = 3;
const OUTPUTS = [0.5, -1, 2, 3, -40, 60];
const TARGETS = [0.5, 1, -1, 2.5, 0, 1];
const LABELS = [1, 0, 0, 1, 0, 1];

function means(cells: readonly number[]): number[] {
  return [0, 1, 2].map((row) => ((cells[2 * row] ?? 0) + (cells[2 * row + 1] ?? 0)) / 2);
}

describe.each(["wasm", "native"] as const)("on %s", (engine) => {
  const opened: Promise<{ backend: Backend }> = openBackend(engine, { threads: 1 });
  afterAll(async () => (await opened).backend.dispose());

  type Arrays = Record<"outputs" | "labels", np.Array>;

  async function computed(labels: readonly number[], compute: (arrays: Arrays) => Record<string, np.Array>) {
    const { backend } = await opened;
    const spec = { shape: [ROWS, 2], dtype: "float32" } as const;
    const program = await backend.compile(
      trace({
        name: "task",
        state: {},
        batch: { outputs: spec, labels: spec },
        controls: {},
        run: (_: unknown, batch) => ({ state: {}, outputs: compute(batch as Arrays) }),
      }),
    );
    const state = backend.createState();
    const batch = { outputs: float32([ROWS, 2], OUTPUTS), labels: float32([ROWS, 2], labels) };
    const outputs = await program.run(state, batch, {});
    state.dispose();
    program.dispose();
    return outputs;
  }

  async function lossesOf(task: TaskId, labels: readonly number[], options: LossOptions = {}) {
    const { loss } = await computed(labels, ({ outputs, labels: own }) => ({
      loss: taskFor(task).loss(outputs, own, options),
    }));
    return [...(loss?.data ?? [])];
  }

  test("the loss of a regression is the squared error, and beyond a delta grows by the error alone", async () => {
    const errors = OUTPUTS.map((output, i) => Math.abs(output - (TARGETS[i] ?? 0)));
    const expected = means(errors.map((error) => error ** 2));
    for (const [i, loss] of (await lossesOf("regression", TARGETS)).entries())
      expect(loss / (expected[i] ?? 0)).toBeCloseTo(1, 6);
    const huber = means(errors.map((error) => (error <= 1 ? error ** 2 : 2 * error - 1)));
    for (const [i, loss] of (await lossesOf("regression", TARGETS, { huberDelta: 1 })).entries())
      expect(loss / (huber[i] ?? 0)).toBeCloseTo(1, 6);
  });

  test("the loss of several labels is the cross-entropy of a yes or no for each, for far outputs too", async () => {
    const cells = OUTPUTS.map((output, i) => Math.log1p(Math.exp(LABELS[i] === 1 ? -output : output)));
    for (const [i, loss] of (await lossesOf("multilabel", LABELS)).entries())
      expect(loss).toBeCloseTo(means(cells)[i] ?? 0, 5);
  });

  test.each([
    ["regression", TARGETS],
    ["multilabel", LABELS],
  ] as const)("an evaluation of a %s adds up what its score is of", async (task, labels) => {
    const host = resmlp({ inputShape: [2], classes: 2 });
    const topology = { host, sites: [], hostGradient: "detach", loss: { task } } as const;
    const sums = new EvaluationSums();
    const outputs = await computed(labels, ({ outputs: own, labels: given }) => {
      const scored = taskFor(task).scored(own, given) as Record<string, np.Array>;
      return Object.fromEntries(Object.entries(scored).map(([name, values]) => [name, values.sum(0)]));
    });
    sums.add({ ...outputs, weight: float32([], [ROWS]) });
    const tally = taskFor(task).tally({ classes: 2 });
    tally.add(Float32Array.from(OUTPUTS), Float32Array.from(labels));
    const metrics = tally.metrics() as unknown as Readonly<Record<string, number>>;
    const { score } = sums.result(topology);
    expect(score.name).toBe(task === "regression" ? "r2" : "micro_f1");
    expect(score.value).toBeCloseTo(metrics[score.name] ?? Number.NaN, 3);
  });

  test.each([
    "regression",
    "multilabel",
  ] as const)("who imitates a teacher of a %s is at 0 where both say the same", async (task) => {
    const { own, other } = await computed(LABELS, ({ outputs, labels }) => {
      const temperature = (): np.Array => outputs.ref.mul(0).sum().add(2);
      const imitation = taskFor(task).imitation(outputs.ref, temperature);
      const result = { own: imitation(outputs.ref), other: imitation(labels) };
      outputs.dispose();
      return result;
    });
    expect(own?.data[0]).toBeCloseTo(0, 6);
    expect(other?.data[0]).toBeGreaterThan(0.1);
  });
});

describe("answers are said in the data's own words", () => {
  test("of numbers in their own units, one column or one a target", () => {
    const targets = [
      { name: "price", mean: 1_000_000_007, deviation: 0.5 },
      { name: "age", mean: 40, deviation: 10 },
    ];
    const task = taskFor("regression");
    const answers = task.answers(Float32Array.of(1, -2, 0, 0.5), { classes: 2, targets });
    expect([...(answers.values ?? [])]).toEqual([1_000_000_007.5, 20, 1_000_000_007, 45]);
    const table = task.table({ classes: 2, targets });
    expect(table.columns).toEqual(["prediction_price", "prediction_age"]);
    expect(table.cells(answers, 1)).toEqual([1_000_000_007, 45]);
    expect(task.table({ classes: 1, targets: targets.slice(1) }).columns).toEqual(["prediction"]);
  });

  test("of several labels those above a half, by name", () => {
    const format = { classes: 3, classNames: ["red", "tall", "new"] };
    const task = taskFor("multilabel");
    const answers = task.answers(Float32Array.of(2, -1, 0.1, 0, -3, -4), format);
    const table = task.table(format);
    expect(table.columns).toEqual(["prediction", "p_red", "p_tall", "p_new"]);
    expect([table.cells(answers, 0)[0], table.cells(answers, 1)[0]]).toEqual(["red;new", ""]);
    expect(table.cells(answers, 1)[1]).toBe(0.5);
  });

  test.each([
    "classification",
    "regression",
    "multilabel",
  ] as const)("a %s refuses outputs that are not finite", (task) => {
    const outputs = Float32Array.of(Number.NaN, 1);
    expect(() => taskFor(task).answers(outputs, { classes: 2 })).toThrow(/wrecked/);
    expect(() => taskFor(task).tally({ classes: 2 }).add(outputs, Float32Array.of(0, 1))).toThrow(/wrecked/);
  });
});
