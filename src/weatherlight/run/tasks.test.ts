/** Regression and several labels a row through the life of a run: trained, kept, used from the folder and from the exported file. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readModel } from "../../engine/onnx/import/read-model.js";
import type { RegressionMetrics } from "../../network/index.js";
import { grow } from "./grow.js";
import type { GrowOptions } from "./grow-options.js";
import type { GrowResult } from "./grow-result.js";
import { readGrownNetwork } from "./read-network.node.js";
import { evaluateOn, predictOn } from "./use-network.node.js";

let root: string;
let table: string;
const ROWS = Array.from({ length: 300 }, (_, i) => {
  const [a, b] = [Math.sin(i), Math.cos(3 * i)];
  return {
    a,
    b,
    price: 250_000 + 40_000 * a - 9_000 * b,
    height: 1.7 + 0.1 * b,
    up: a > 0 ? 1 : 0,
    left: b < 0.3 ? 1 : 0,
  };
});

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-tasks-"));
  const names = Object.keys(ROWS[0] ?? {});
  const lines = ROWS.map((row) => Object.values(row).join(","));
  table = `csv:${join(root, "rows.csv")}`;
  await writeFile(join(root, "rows.csv"), `${[names.join(","), ...lines].join("\n")}\n`);
});
afterAll(() => rm(root, { recursive: true }));

const QUICK = { engine: "wasm", epochs: 12, lr: 0.01, growth: false } as const satisfies GrowOptions;

describe("a regression", () => {
  let run: GrowResult;
  let runDir: string;
  beforeAll(async () => {
    runDir = join(root, "regression");
    run = await grow({ ...QUICK, data: `${table}?target=price,height&drop=up,left`, runDir });
  }, 60_000);

  test("tells its errors in the targets' own units, and no accuracy", () => {
    const { rmse, mae, r2, targets } = run.metrics as RegressionMetrics;
    expect(run).toMatchObject({ task: "regression", accuracy: Number.NaN, ended: "finished" });
    expect(r2).toBeGreaterThan(0.8);
    expect(targets?.price?.rmse).toBeLessThan(15_000);
    expect(targets?.height?.rmse).toBeLessThan(0.05);
    expect(rmse).toBeCloseTo(((targets?.price?.rmse ?? 0) + (targets?.height?.rmse ?? 0)) / 2, 6);
    expect(mae).toBeLessThanOrEqual(rmse);
  });

  test("keeps it in the summary, the events, and what says how outputs become answers", async () => {
    const summary = JSON.parse(await readFile(join(runDir, "summary.json"), "utf8"));
    expect(summary).toMatchObject({
      task: "regression",
      accuracy: null,
      metrics: run.metrics,
      loss: run.testLoss,
    });
    const lines = (await readFile(join(runDir, "events.ndjson"), "utf8")).trim().split("\n");
    const epochs = lines.map((line) => JSON.parse(line)).filter(({ type }) => type === "epoch");
    expect(epochs.at(-1)).toMatchObject({ val_accuracy: null, val_r2: expect.any(Number) });
    const { data } = JSON.parse(await readFile(join(runDir, "run.json"), "utf8"));
    expect(data).toMatchObject({
      task: "regression",
      classes: 2,
      targets: [{ name: "price" }, { name: "height" }],
    });
  });

  test("predicts from the folder, the file, and a program that knows the file's metadata alone, all the same", async () => {
    const bytes = await (await readGrownNetwork(runDir)).toOnnx(join(root, "regression.onnx"));
    const byRun = await predictOn(runDir, `${table}?drop=price`);
    const byFile = await predictOn(join(root, "regression.onnx"), table);
    expect(byRun.columns).toEqual(["prediction_price", "prediction_height"]);
    const { metadata } = readModel(bytes);
    const columns = JSON.parse(String(metadata.get("columns"))) as { mean: number; deviation: number }[];
    const targets = JSON.parse(String(metadata.get("targets"))) as { mean: number; deviation: number }[];
    expect(metadata.get("task")).toBe("regression");
    const inputs = ROWS.flatMap(({ a, b }) =>
      [a, b].map((value, i) => (value - (columns[i]?.mean ?? 0)) / (columns[i]?.deviation ?? 1)),
    );
    const session = await InferenceSession.create(bytes);
    const input = new Tensor("float32", Float32Array.from(inputs), [ROWS.length, 2]);
    const { logits } = await session.run({ input });
    const outputs = logits?.data as Float32Array;
    for (const [row, prediction] of byRun.rows.entries()) {
      const expected = targets.map(
        ({ mean, deviation }, i) => (outputs[2 * row + i] ?? 0) * deviation + mean,
      );
      expect(Number(prediction.prediction_price) / (expected[0] ?? 0)).toBeCloseTo(1, 5);
      expect(prediction.prediction_height).toBeCloseTo(expected[1] ?? 0, 5);
      expect(byFile.rows[row]?.prediction_height).toBeCloseTo(Number(prediction.prediction_height), 5);
    }
    const { values } = await run.network.predict(inputs.slice(0, 4));
    expect(values?.[0]).toBeCloseTo(Number(byRun.rows[0]?.prediction_price), -1);
  });

  test("reads its last layer's input as it is, which a classification's normalises", async () => {
    const { parameters } = await readGrownNetwork(runDir);
    expect(Object.keys(parameters).filter((path) => path.startsWith("host/head/"))).toEqual([
      "host/head/w",
      "host/head/b",
    ]);
  });

  test("is evaluated on its own test part, and on other rows in the same units", async () => {
    const own = await evaluateOn(runDir, `${table}?target=price,height&drop=up,left`);
    expect(own).toMatchObject({ task: "regression", rows: 60, isOwnTestPart: true });
    const [{ r2 }, known] = [own.metrics, run.metrics] as [RegressionMetrics, RegressionMetrics];
    expect(r2).toBeCloseTo(known.r2, 5);
    const all = await evaluateOn(runDir, table);
    expect(all).toMatchObject({ rows: 300, isOwnTestPart: false });
    expect((all.metrics as RegressionMetrics).targets?.height?.rmse).toBeLessThan(0.05);
    await expect(evaluateOn(runDir, `${table}?target=price`)).rejects.toThrow(
      "predicts 2 target columns, 1 are named",
    );
  });

  test("is gone on from for the same task alone, and teaches none other", async () => {
    await expect(
      grow({ ...QUICK, from: runDir, data: `${table}?labels=up,left&drop=price,height` }),
    ).rejects.toThrow("it is of a regression, the data are for a multilabel");
    await expect(
      grow({ ...QUICK, teacher: runDir, data: `${table}?labels=up,left&drop=price,height` }),
    ).rejects.toThrow("is of a regression, the data are for a multilabel");
    const rescaled = `${table}?target=price,height&drop=up,left&test=0.5`;
    await expect(grow({ ...QUICK, teacher: runDir, data: rescaled })).rejects.toThrow(
      "must have learned from the same data",
    );
  });
});

describe("several labels a row", () => {
  test("are learned, told and predicted by name", async () => {
    const runDir = join(root, "multilabel");
    const run = await grow({
      ...QUICK,
      growth: false,
      data: `${table}?labels=up,left&drop=price,height`,
      runDir,
    });
    expect(run).toMatchObject({ task: "multilabel", accuracy: Number.NaN });
    expect(run.metrics).toMatchObject({ labels: { up: { f1: expect.any(Number) }, left: {} } });
    const { micro_f1 } = run.metrics as unknown as { micro_f1: number };
    expect(micro_f1).toBeGreaterThan(0.9);
    await (await readGrownNetwork(runDir)).toOnnx(join(root, "multilabel.onnx"));
    const [byRun, byFile] = [
      await predictOn(runDir, table),
      await predictOn(join(root, "multilabel.onnx"), table),
    ];
    expect(byRun.columns).toEqual(["prediction", "p_up", "p_left"]);
    const said = byRun.rows.map(({ prediction }) => prediction);
    expect(said).toEqual(byFile.rows.map(({ prediction }) => prediction));
    const right = said.filter(
      (text, i) => text === [ROWS[i]?.up && "up", ROWS[i]?.left && "left"].filter(Boolean).join(";"),
    );
    expect(right.length / said.length).toBeGreaterThan(0.85);
    const { metrics, isOwnTestPart } = await evaluateOn(runDir, `${table}?labels=up,left&drop=price,height`);
    expect([isOwnTestPart, metrics]).toEqual([true, run.metrics]);
  });
});

describe("what has no place in a task is refused before anything is written", () => {
  test.each<[string, GrowOptions, string]>([
    [
      "class weights",
      { classWeights: "balanced" },
      "classWeights has no place in a regression: it is for classes",
    ],
    [
      "label smoothing",
      { labelSmoothing: 0.1 },
      "labelSmoothing has no place in a regression: it is for classes",
    ],
    ["a host of two classes", { host: "charlm" }, "takes tokens"],
    [
      "another task than the data's",
      { task: "next-token" },
      "task must be classification, which csv data are for, got next-token",
    ],
    ["a negative delta", { huberDelta: -1 }, "huberDelta must be a number greater than 0"],
  ])("%s", async (_, options, problem) => {
    const runDir = join(root, "refused");
    await expect(grow({ ...QUICK, data: `${table}?target=price`, runDir, ...options })).rejects.toThrow(
      problem,
    );
    await expect(readFile(join(runDir, "run.json"))).rejects.toThrow(/ENOENT/);
  });

  test("a delta where there are classes", async () => {
    await expect(grow({ ...QUICK, data: "spirals", huberDelta: 1 })).rejects.toThrow(
      "huberDelta has no place in a classification: it is for a regression",
    );
    await expect(grow({ ...QUICK, data: "spirals", task: "regression" })).rejects.toThrow(
      "task must be classification, which spirals data are for, got regression",
    );
  });
});

test("own arrays of numbers are predicted in their own units, a few wild ones under Huber's loss", async () => {
  const inputs = ROWS.map(({ a, b }) => [a, b]);
  const labels = ROWS.map(({ price }, i) => (i % 50 === 0 ? price * 20 : price));
  const data = { train: { inputs, labels }, classNames: ["price"] };
  const run = await grow({ ...QUICK, task: "regression", data, huberDelta: 0.1, epochs: 20 });
  const { values } = await run.network.predict(inputs.slice(1, 50));
  const errors = Array.from(values ?? [], (value, i) => Math.abs(value - (ROWS[i + 1]?.price ?? 0)));
  expect(errors.reduce((sum, error) => sum + error, 0) / errors.length).toBeLessThan(60_000);
  await expect(run.network.predict([[Number.NaN, 0]])).rejects.toThrow(/value 0 is NaN/);
});
