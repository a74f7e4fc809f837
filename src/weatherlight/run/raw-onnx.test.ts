/** An export with preprocessing answers raw rows in plain ONNX Runtime as the run does. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../../base/index.js";
import { grow } from "./grow.js";
import type { GrowOptions } from "./grow-options.js";
import { readGrownNetwork } from "./read-network.node.js";
import { predictOn } from "./use-network.node.js";

let root: string;
/** Numbers far from zero, texts, gaps. */
const ROWS = 200;
const random = new Random(5);
const rows = Array.from({ length: ROWS }, (_, i) => ({
  at: 1_700_000_000_000 + 1_000 * random.uniform(),
  // The name of a value inside of the model, too.
  logits: i % 7 === 3 ? "" : `${2 + random.uniform()}`,
  fixed: 4,
  colour: i % 5 === 1 ? "" : (["red", "blue", "grün"][random.below(3)] ?? ""),
}));
const seconds = ({ at }: (typeof rows)[number]): number => at - 1_700_000_000_000;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-raw-"));
});
afterAll(() => rm(root, { recursive: true }));

/** A run on the rows with these columns to be learned, its predictions, and what its file says to the raw rows. */
async function grown(
  name: string,
  options: string,
  more: readonly Readonly<Record<string, unknown>>[],
  asked: Pick<GrowOptions, "threshold"> = {},
) {
  const path = join(root, `${name}.csv`);
  const all = rows.map((row, i) => ({ ...row, ...more[i] }));
  const lines = [Object.keys(all[0] ?? {}), ...all.map((row) => Object.values(row))];
  await writeFile(path, `${lines.map((cells) => cells.join(",")).join("\n")}\n`);
  const runDir = join(root, name);
  const config = { engine: "wasm", epochs: 2, growth: false, ...asked } as const;
  await grow({ data: `csv:${path}?fill=mean&${options}`, ...config, runDir });
  const network = await readGrownNetwork(runDir);
  const session = await InferenceSession.create(await network.toOnnx(undefined, { preprocessing: true }));
  const { rows: predicted } = await predictOn(runDir, `csv:${path}`);
  return { session, predicted, answers: await session.run(feeds(rows)) };
}

function feeds(of: typeof rows): Record<string, Tensor> {
  const numbers = (values: readonly (string | number)[]): Tensor =>
    new Tensor(
      "float64",
      Float64Array.from(values, (value) => (value === "" ? Number.NaN : Number(value))),
      [values.length, 1],
    );
  const texts = of.map(({ colour }) => colour);
  return {
    at: numbers(of.map(({ at }) => at)),
    logits: numbers(of.map(({ logits }) => logits)),
    fixed: numbers(of.map(({ fixed }) => fixed)),
    colour: new Tensor("string", texts, [texts.length, 1]),
  };
}

describe("the model of a table", () => {
  test("says classes by name, with their probabilities", async () => {
    const kinds = rows.map((row) => ({ kind: seconds(row) > 500 ? "late" : "early" }));
    const { session, predicted, answers } = await grown("classes", "label=kind", kinds);
    expect(session.inputNames).toEqual(["at", "logits", "fixed", "colour"]);
    expect(session.outputNames).toEqual(["probabilities", "prediction"]);
    expect(answers.prediction?.data).toEqual(predicted.map(({ prediction }) => prediction));
    const late = Array.from(answers.probabilities?.data as Float32Array).filter((_, i) => i % 2 === 1);
    predicted.forEach(({ p_late }, i) => {
      expect(late[i]).toBeCloseTo(Number(p_late), 5);
    });
    const [row] = rows;
    if (!row) throw new Error("no rows");
    const strange = await session.run(feeds([{ ...row, colour: "mauve" }, row]));
    expect(strange.prediction?.data).toEqual(["", predicted[0]?.prediction]);
    expect((strange.probabilities?.data as Float32Array)[0]).toBeNaN();
  });

  test("says the second of two classes from the threshold on that was chosen", async () => {
    const kinds = rows.map((_, i) => ({ kind: i % 9 === 0 ? "rare" : "often" }));
    const { predicted, answers } = await grown("rare", "label=kind", kinds, { threshold: "f1" });
    expect(answers.prediction?.data).toEqual(predicted.map(({ prediction }) => prediction));
    expect(predicted.some(({ prediction, p_rare }) => (prediction === "rare") !== Number(p_rare) > 0.5)).toBe(
      true,
    );
  });

  test("says numbers in their own units", async () => {
    const prices = rows.map((row) => ({ price: 1e6 + seconds(row), weight: row.colour === "red" ? 1 : 0 }));
    const { predicted, answers } = await grown("numbers", "target=price,weight", prices);
    const values = answers.prediction?.data as Float64Array;
    predicted.forEach(({ prediction_price, prediction_weight }, i) => {
      expect(values[2 * i]).toBeCloseTo(Number(prediction_price), 1);
      expect(values[2 * i + 1]).toBeCloseTo(Number(prediction_weight), 4);
    });
  });

  test("says which labels hold", async () => {
    const labels = rows.map((row) => ({
      late: Number(seconds(row) > 500),
      red: Number(row.colour === "red"),
    }));
    const { predicted, answers } = await grown("labels", "labels=late,red", labels);
    const said = Array.from(answers.prediction?.data as Uint8Array, Boolean);
    predicted.forEach(({ prediction, p_red }, i) => {
      const own = ["late", "red"].filter((_, label) => said[2 * i + label]);
      expect(own.join(";")).toBe(prediction);
      expect((answers.probabilities?.data as Float32Array)[2 * i + 1]).toBeCloseTo(Number(p_red), 5);
    });
  });
});

test("a column that has the name of an answer is refused, and so is the file where the command preprocesses itself", async () => {
  const path = join(root, "named.csv");
  const lines = rows.map((row, i) => `${seconds(row)},${i % 2}`);
  await writeFile(path, `prediction,label\n${lines.join("\n")}\n`);
  const config = { engine: "wasm", epochs: 1, growth: false } as const;
  const named = await grow({ data: `csv:${path}`, ...config });
  await expect(named.network.toOnnx(undefined, { preprocessing: true })).rejects.toThrow(
    /column "prediction"/,
  );
  await writeFile(path, `time,label\n${lines.join("\n")}\n`);
  const { network } = await grow({ data: `csv:${path}`, ...config });
  const file = join(root, "raw.onnx");
  await network.toOnnx(file, { preprocessing: true });
  await expect(predictOn(file, `csv:${path}`)).rejects.toThrow(/takes raw rows/);
});

test("the model of bytes takes bytes, and says class numbers", async () => {
  const inputs = Uint8Array.from({ length: 4 * 120 }, (_, i) => (i * 37) % 256);
  const labels = Int32Array.from({ length: 120 }, (_, i) => Number((inputs[4 * i] ?? 0) > 127));
  const { network } = await grow({
    data: { inputShape: [4], classes: 2, train: { inputs, labels } },
    engine: "wasm",
    epochs: 2,
    growth: false,
  });
  const session = await InferenceSession.create(await network.toOnnx(undefined, { preprocessing: true }));
  const answers = await session.run({ input: new Tensor("uint8", inputs, [120, 4]) });
  const { labels: predicted, probabilities } = await network.predict(inputs);
  expect(Array.from(answers.prediction?.data as BigInt64Array, Number)).toEqual([...predicted]);
  (answers.probabilities?.data as Float32Array).forEach((p, i) => {
    expect(p).toBeCloseTo(probabilities[i] ?? 0, 5);
  });
});

test("a text has none that ONNX can say", async () => {
  const path = join(root, "a.txt");
  await writeFile(path, "Call me Ishmael. Some years ago, never mind. ".repeat(60));
  const options = { data: `text:${path}?length=8`, engine: "wasm", epochs: 1, growth: false } as const;
  const { network } = await grow(options);
  await expect(network.toOnnx(undefined, { preprocessing: true })).rejects.toThrow(
    /no ONNX operator makes tokens/,
  );
});
