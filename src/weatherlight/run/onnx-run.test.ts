/** Runs whose host is an ONNX file: grown, resumed, read again, and written back into the file. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Random } from "../../base/index.js";
import type { DatasetArrays } from "../../data/arrays.js";
import { fixture } from "../../engine/onnx/import/imported-models.fixture.js";
import { grow } from "./grow.js";
import { parseGrowOptions } from "./grow-config.js";
import { isOnnxReference, onnxReference, parseOnnxReference } from "./onnx-reference.js";
import { readGrownNetwork } from "./read-network.node.js";

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kasmina-onnx-"));
  file = join(folder, "model.onnx");
  await writeFile(file, fixture("mlp-bn"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Twelve measurements; the class is where the first two lie. */
function quadrants(rows: number, seed: number): DatasetArrays["train"] {
  const random = new Random(seed);
  const inputs = Float32Array.from({ length: rows * 12 }, () => random.uniform() * 2 - 1);
  const sign = (i: number): number => ((inputs[i] ?? 0) > 0 ? 1 : 0);
  const labels = Int32Array.from({ length: rows }, (_, row) => 2 * sign(row * 12) + sign(row * 12 + 1));
  return { inputs, labels };
}

function data(classes = 4): DatasetArrays {
  return { name: "quadrants", inputShape: [12], classes, train: quadrants(320, 1), test: quadrants(100, 2) };
}

const OPTIONS = { engine: "native", threads: 1, epochs: 6, batch: 32, lr: 0.01, policy: "schedule" } as const;

async function logitsOf(model: Uint8Array, rows: Float32Array): Promise<number[]> {
  const session = await InferenceSession.create(model, { logSeverityLevel: 3 });
  const results = await session.run({ x: new Tensor("float32", rows, [rows.length / 12, 12]) });
  await session.release();
  return Array.from(results.logits?.data as Float32Array);
}

describe("a run on an ONNX file", () => {
  test("grows, keeps where it came from, and is written back into the file", async () => {
    const runDir = join(folder, "run");
    const run = await grow({ ...OPTIONS, host: `onnx:${file}`, head: "new", data: data(), runDir });
    expect(run.accuracy).toBeGreaterThan(0.3);
    expect(run.seeds.length).toBeGreaterThan(0);
    const about = JSON.parse(await readFile(join(runDir, "run.json"), "utf8"));
    expect(about.config.host).toBe(`onnx:${file}?head=new`);
    expect(about.sources.host.file).toBe(file);

    const network = await readGrownNetwork(runDir);
    const out = join(folder, "grown.onnx");
    await network.toOnnx(out);
    const { inputs } = quadrants(20, 3) as { inputs: Float32Array };
    const logits = await logitsOf(new Uint8Array(await readFile(out)), inputs);
    const { probabilities } = await network.predict(inputs);
    for (let row = 0; row < 20; row++) {
      const own = logits.slice(row * 4, row * 4 + 4);
      const sum = own.reduce((total, value) => total + Math.exp(value), 0);
      for (const [i, value] of own.entries()) {
        expect(Math.exp(value) / sum).toBeCloseTo(probabilities[row * 4 + i] ?? 0, 4);
      }
    }
  });

  test("refuses the file when it has changed", async () => {
    const runDir = join(folder, "run");
    await grow({ ...OPTIONS, epochs: 1, host: `onnx:${file}`, growth: false, data: data(), runDir });
    await writeFile(file, fixture("mlp-bn-opset17"));
    await expect(readGrownNetwork(runDir)).rejects.toThrow(
      /host onnx is not what the run began with: the file that it is in has changed/,
    );
  });

  test("ends the same whenever it is run", async () => {
    const once = await grow({ ...OPTIONS, epochs: 2, host: `onnx:${file}`, train: "all", data: data() });
    const again = await grow({ ...OPTIONS, epochs: 2, host: `onnx:${file}`, train: "all", data: data() });
    expect(again.testLoss).toBe(once.testLoss);
  });

  test("says what does not fit in one line", async () => {
    await expect(grow({ ...OPTIONS, host: `onnx:${file}`, head: "keep", data: data(5) })).rejects.toThrow(
      /the model's head gives 4 outputs, but the data has 5 classes; a new head fits/,
    );
    await expect(grow({ ...OPTIONS, host: "onnx:/nowhere.onnx", data: data() })).rejects.toThrow(
      /\/nowhere\.onnx/,
    );
  });
});

describe("the name of a host in an ONNX file", () => {
  test("holds what is made of it", () => {
    const text = "onnx:a/b.onnx?head=new&train=all&slots=a%2Cb";
    expect(parseOnnxReference(text)).toEqual({
      file: "a/b.onnx",
      options: { head: "new", train: "all", slots: ["a", "b"] },
    });
    expect(onnxReference(parseOnnxReference(text))).toBe(text);
    expect(isOnnxReference("module:a#b")).toBe(false);
  });

  test("takes up the options of a run", () => {
    const { host, slots } = parseGrowOptions({
      data: "spirals",
      host: "onnx:m.onnx",
      head: "keep",
      train: "head",
      slots: ["/a/Add"],
    });
    expect(host).toBe("onnx:m.onnx?head=keep&train=head&slots=%2Fa%2FAdd");
    expect(slots).toBeUndefined();
  });

  test.each([
    [{ data: "spirals", host: "resmlp", train: "all" }, /train is for a host from an ONNX file/],
    [{ data: "spirals", host: "onnx:" }, /onnx: must be onnx:<file>/],
    [
      { data: "spirals", host: "onnx:m.onnx?heads=new" },
      /unknown option heads; known are head, train, slots/,
    ],
    [{ data: "spirals", host: "onnx:m.onnx", head: "old" }, /head must be one of auto, keep, new/],
  ])("%j is refused", (options, message) => {
    expect(() => parseGrowOptions(options)).toThrow(message);
  });
});
