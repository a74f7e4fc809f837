/** A run's network, taken elsewhere: the exported file predicts what the run predicts, without any of our code. */

import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeSafetensors } from "../src/contracts/index.js";
import { openDataset } from "../src/data/index.js";
import { trace } from "../src/engine/index.js";
import { createNativeBackend } from "../src/engine/native/index.js";
import { forwardProgram } from "../src/network/index.js";
import { readGrownNetwork, type Summary } from "../src/weatherlight/index.js";
import { kasmina } from "./kasmina.js";

/** It comes as a package for Python (Debian: python3-onnx), which not every machine has. */
const PYTHON = process.env.PYTHON ?? "python3";

function hasOnnxChecker(): boolean {
  return spawnSync(PYTHON, ["-c", "import onnx"]).status === 0;
}

let folder: string;
let summary: Summary;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kasmina-export-"));
  const options = [
    "--data",
    "spirals",
    "--engine",
    "native",
    "--threads",
    "1",
    "--epochs",
    "6",
    "--policy",
    "epoch:1",
  ];
  await kasmina(["grow", "--quiet", "--run-dir", "run", ...options], folder);
  summary = JSON.parse(await readFile(join(folder, "run", "summary.json"), "utf8")) as Summary;
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("the exported network of a run", () => {
  test("predicts the test set as the run does", async () => {
    const network = await readGrownNetwork(join(folder, "run"));
    const session = await InferenceSession.create(await network.toOnnx());
    const { test: rows, inputShape } = await openDataset("spirals", { seed: 0 });
    const count = rows.labels.length;
    const input = {
      shape: [count, ...inputShape],
      dtype: "float32" as const,
      data: Float32Array.from(rows.inputs),
    };
    const backend = await createNativeBackend({ threads: 1 });
    const program = await backend.compile(trace(forwardProgram(network.topology, count)));
    const state = backend.createState();
    state.write({ ...network.parameters, ...network.blendWeights });
    const { logits } = await program.run(state, { input }, {});
    const exported = await session.run({ input: new OrtTensor("float32", input.data, input.shape) });
    const data = exported.logits?.data as Float32Array;
    const worst = data.reduce((max, value, i) => Math.max(max, Math.abs(value - (logits?.data[i] ?? 0))), 0);
    expect(worst).toBeLessThan(1e-5);
    const classes = exported.logits?.dims[1] ?? 1;
    const predicted = await network.predict(input.data);
    expect(predicted.probabilities).toHaveLength(count * 2);
    const right = [...rows.labels].filter((label, row) => {
      const scores = data.subarray(row * classes, (row + 1) * classes);
      return scores.indexOf(Math.max(...scores)) === label;
    });
    expect([...rows.labels].filter((label, row) => predicted.labels[row] === label)).toHaveLength(
      right.length,
    );
    expect(right.length / count).toBeCloseTo(summary.accuracy ?? Number.NaN, 6);
    await backend.dispose();
  });

  test("the command writes both files, and asks for one of them", async () => {
    const [onnx, weights] = [join(folder, "net.onnx"), join(folder, "net.safetensors")];
    const written = await kasmina(["export", "run", "--onnx", onnx, "--safetensors", weights], folder);
    expect(written).toMatchObject({ code: 0, stdout: "" });
    const network = await readGrownNetwork(join(folder, "run"));
    expect(new Uint8Array(await readFile(onnx))).toEqual(await network.toOnnx());
    const { tensors, metadata } = decodeSafetensors(await readFile(weights));
    expect(tensors["host/stem/w"]?.shape).toEqual(network.parameters["host/stem/w"]?.shape);
    expect(metadata).toMatchObject({ training_run_id: summary.run_id, host: "resmlp" });
    expect(await kasmina(["export", "run"], folder)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/--onnx or --safetensors/),
    });
  });

  test.skipIf(!hasOnnxChecker())("passes the ONNX project's own checker, shapes included", async () => {
    const file = join(folder, "checked.onnx");
    await (await readGrownNetwork(join(folder, "run"))).toOnnx(file);
    const program = `import onnx; onnx.checker.check_model(onnx.load(${JSON.stringify(file)}), full_check=True)`;
    expect(spawnSync(PYTHON, ["-c", program], { encoding: "utf8" })).toMatchObject({ status: 0, stderr: "" });
  });

  test("a file that is no model is one error of ONNX Runtime's", async () => {
    const network = await readGrownNetwork(join(folder, "run"));
    const bytes = (await network.toOnnx()).slice(0, 500);
    await expect(InferenceSession.create(bytes)).rejects.toThrow(/protobuf/i);
  });
});
