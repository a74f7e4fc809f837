/** A grown network says of rows what it learned to, whoever asks: the run's folder, or the exported file. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../../base/index.js";
import { readModel } from "../../engine/onnx/import/read-model.js";
import type { ClassificationMetrics } from "../../network/index.js";
import { grow } from "./grow.js";
import { readGrownNetwork } from "./read-network.node.js";
import { evaluateOn, predictOn } from "./use-network.node.js";

let root: string;
let table: string;
let run: string;
let model: string;

/** Far from zero, and of different sizes: whoever forgets the scaling gets everything wrong. */
const RAW = [
  [1_700_000_300, 0.001],
  [1_700_000_900, 0.009],
  [1_700_000_100, 0.002],
] as const;

async function csv(name: string, lines: readonly (readonly unknown[])[]): Promise<string> {
  const path = join(root, name);
  await writeFile(path, `${lines.map((cells) => cells.join(",")).join("\n")}\n`);
  return `csv:${path}`;
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-predict-"));
  const random = new Random(3);
  const rows = Array.from({ length: 400 }, () => {
    const [a, b] = [random.uniform(), random.uniform()];
    return [1_700_000_000 + 1_000 * a, b / 100, a + b > 1 ? "big" : '"small, or ""so"""'];
  });
  table = await csv("train.csv", [["time", "size", "kind"], ...rows]);
  run = join(root, "run");
  const options = { data: `${table}?label=kind`, engine: "wasm", epochs: 12, growth: false } as const;
  const { accuracy } = await grow({ ...options, runDir: run });
  expect(accuracy).toBeGreaterThan(0.85);
  model = join(root, "grown.onnx");
  await (await readGrownNetwork(run)).toOnnx(model);
}, 120_000);
afterAll(() => rm(root, { recursive: true }));

describe("a row is scaled as the training rows were", () => {
  test("whatever order its columns have, and whatever stands beside them", async () => {
    const data = await csv("new.csv", [
      ["id", "size", "time"],
      ...RAW.map(([time, size], i) => [i, size, time]),
    ]);
    const { rows, columns, ignored } = await predictOn(run, data);
    expect(columns).toEqual(["prediction", "p_big", 'p_small, or "so"']);
    const [big, small] = ["big", 'small, or "so"'];
    expect(rows.map(({ prediction }) => prediction)).toEqual([small, big, small]);
    expect(ignored).toEqual(["id"]);
    const alone = await predictOn(run, await csv("one.csv", [["time", "size"], RAW[1]]));
    expect(alone.rows[0]?.p_big).toBeCloseTo(Number(rows[1]?.p_big), 5);
  });

  test("so is it by a program that knows the exported file alone, and applies what its metadata say", async () => {
    const bytes = await (await readGrownNetwork(run)).toOnnx();
    const { metadata } = readModel(bytes);
    const columns = JSON.parse(String(metadata.get("columns"))) as { mean: number; deviation: number }[];
    expect(metadata.get("label_column")).toBe("kind");
    const scaled = RAW.flatMap((row) =>
      row.map((value, i) => (value - (columns[i]?.mean ?? 0)) / (columns[i]?.deviation ?? 1)),
    );
    const session = await InferenceSession.create(bytes);
    const { logits } = await session.run({ input: new Tensor("float32", Float32Array.from(scaled), [3, 2]) });
    const outputs = logits?.data as Float32Array;
    const data = await csv("raw.csv", [["time", "size"], ...RAW]);
    const [byRun, byFile] = [await predictOn(run, data), await predictOn(model, data)];
    for (const [row, { p_big }] of byRun.rows.entries()) {
      const [a = 0, b = 0] = outputs.subarray(2 * row, 2 * row + 2);
      expect(p_big).toBeCloseTo(1 / (1 + Math.exp(b - a)), 5);
      expect(byFile.rows[row]?.p_big).toBeCloseTo(Number(p_big), 5);
    }
  });
});

describe("an evaluation", () => {
  test("of the data that the run learned from is of their test part", async () => {
    const own = await evaluateOn(run, `${table}?label=kind`);
    expect(own).toMatchObject({ task: "classification", rows: 80, isOwnTestPart: true });
    const copy = await evaluateOn(model, table);
    expect(copy).toMatchObject({ rows: 400, isOwnTestPart: false });
    expect((copy.metrics as ClassificationMetrics).accuracy).toBeGreaterThan(0.85);
  });

  test("compares labels as they were counted", async () => {
    const data = await csv("labelled.csv", [
      ["kind", "time", "size"],
      ["big", ...RAW[1]],
      ["big", ...RAW[0]],
    ]);
    const { metrics } = await evaluateOn(run, data);
    expect(metrics).toMatchObject({
      accuracy: 0.5,
      balanced_accuracy: 0.5,
      confusion: [
        [1, 1],
        [0, 0],
      ],
    });
  });

  test("of a text counts tokens, in the vocabulary of the run", async () => {
    const path = join(root, "a.txt");
    await writeFile(path, "Call me Ishmael. Some years ago, never mind. ".repeat(60));
    const options = { data: `text:${path}?length=8`, engine: "wasm", epochs: 2, growth: false } as const;
    await grow({ ...options, runDir: join(root, "text") });
    const other = join(root, "b.txt");
    await writeFile(other, "Some Ishmael? ".repeat(4));
    const evaluation = await evaluateOn(join(root, "text"), `text:${other}`);
    expect(evaluation).toMatchObject({ task: "next-token", rows: 6, isOwnTestPart: false });
    expect(evaluation.metrics).toEqual({
      accuracy: expect.any(Number),
      perplexity: expect.closeTo(Math.exp(evaluation.loss), 9),
      // A byte is a character of these.
      bits_per_byte: expect.closeTo(evaluation.loss / Math.LN2, 9),
    });
    await expect(predictOn(join(root, "text"), `text:${other}`)).rejects.toThrow(/token at each position/);
  });
});

describe("what does not fit is named", () => {
  test.each([
    [
      "a column that is missing",
      [
        ["time", "kind"],
        [1, "big"],
      ],
      /column "size" is missing; it has time, kind/,
    ],
    [
      "a cell that is no number",
      [
        ["time", "size"],
        [1, 2],
        ["x", 2],
      ],
      /row 2, column "time": "x" is not a number/,
    ],
    [
      "an empty cell",
      [
        ["time", "size"],
        [1, ""],
      ],
      /row 1, column "size": empty/,
    ],
    ["no rows", [["time", "size"]], /no rows/],
  ])("%s", async (_, lines, problem) => {
    const data = await csv("bad.csv", lines);
    await expect(predictOn(run, data)).rejects.toThrow(problem);
    await expect(predictOn(model, data)).rejects.toThrow(problem);
  });

  test("a label that is no class, one that is missing, and a column of them that is not there", async () => {
    const evaluate = async (...lines: unknown[][]) => evaluateOn(run, await csv("labels.csv", lines));
    await expect(evaluate(["time", "size", "kind"], [1, 2, "bog"])).rejects.toThrow(
      /row 1, column "kind": "bog" is none of the classes/,
    );
    await expect(evaluate(["time", "size", "kind"], [1, 2, ""])).rejects.toThrow(
      /row 1, column "kind": no label/,
    );
    await expect(evaluate(["time", "size"], [1, 2])).rejects.toThrow(/no column "kind"/);
  });

  test("data of another kind, a file that Kasmina did not export", async () => {
    await expect(predictOn(run, "spirals")).rejects.toThrow(
      /no table: the network takes the columns time, size/,
    );
    await writeFile(join(root, "no.onnx"), "nothing");
    await expect(predictOn(join(root, "no.onnx"), "spirals")).rejects.toThrow(/no ONNX model/);
  });
});

describe("categories and gaps", () => {
  let mixed: string;
  beforeAll(async () => {
    const cities = ["Oslo", "Rome", "Bern"];
    const rows = Array.from({ length: 240 }, (_, i) => [
      cities[i % 3],
      i % 7 === 0 ? "" : i % 10,
      i % 3 === 1 ? "warm" : "cold",
    ]);
    const data = await csv("mixed.csv", [["city", "wind", "climate"], ...rows]);
    mixed = join(root, "mixed");
    await grow({
      data: `${data}?label=climate&fill=mean`,
      engine: "wasm",
      epochs: 10,
      lr: 0.01,
      growth: false,
      runDir: mixed,
    });
    await (await readGrownNetwork(mixed)).toOnnx(join(root, "mixed.onnx"));
  }, 120_000);

  test("of new rows are read as those of the training rows, by the run and by the exported file", async () => {
    const data = await csv("cities.csv", [
      ["wind", "city"],
      ["NA", "Rome"],
      [3, "Oslo"],
      ["", "Bern"],
    ]);
    for (const network of [mixed, join(root, "mixed.onnx")]) {
      const { rows } = await predictOn(network, data);
      expect(rows.map(({ prediction }) => prediction)).toEqual(["warm", "cold", "cold"]);
    }
  });

  test("that the run did not know are refused", async () => {
    const data = await csv("other.csv", [
      ["wind", "city"],
      [1, "Rome"],
      [3, "Paris"],
    ]);
    await expect(predictOn(mixed, data)).rejects.toThrow(
      'row 2, column "city": "Paris" is none of the categories Bern, Oslo, Rome',
    );
    const texts = await csv("texts.csv", [
      ["wind", "city"],
      ["strong", "Rome"],
    ]);
    await expect(predictOn(mixed, texts)).rejects.toThrow('row 1, column "wind": "strong" is not a number');
  });
});
