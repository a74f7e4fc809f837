/** Grown files, held against others than ONNX Runtime for Node: the one for browsers, and the ONNX project's own checker. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession } from "onnxruntime-node";
import * as web from "onnxruntime-web/wasm";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { findTool } from "../base/tools.fixture.js";
import { example, fileInput, GROWN, grown, tensorsOf } from "./grown-onnx.fixture.js";
import { grownOnnx } from "./index.js";

const hadWorker = "Worker" in globalThis;
web.env.wasm.numThreads = 1;
web.env.logLevel = "error";
// It makes itself a global Worker in Node, by which the WebAssembly engine of other tests would take this for a browser.
afterEach(() => {
  if (!hadWorker) Reflect.deleteProperty(globalThis, "Worker");
});

describe("onnxruntime-web computes what onnxruntime-node does", () => {
  test.each(GROWN)("%s %j", async (name, task, blueprints, options) => {
    const topology = grown(name, task, blueprints, options);
    const bytes = grownOnnx(topology, tensorsOf(topology));
    const [there, here] = await Promise.all([
      web.InferenceSession.create(bytes, { executionProviders: ["wasm"], logSeverityLevel: 3 }),
      InferenceSession.create(bytes, { logSeverityLevel: 3 }),
    ]);
    const input = fileInput(example(task, 2));
    const [inputName = "", outputName = ""] = [here.inputNames[0], here.outputNames[0]];
    const expected = (await here.run({ [inputName]: input }))[outputName];
    const { type, data, dims } = input;
    const got = (
      await there.run({ [inputName]: new web.Tensor(type as "float32", data as Float32Array, dims) })
    )[outputName];
    expect(got?.dims).toEqual(expected?.dims);
    const values = Array.from(expected?.data as Float32Array);
    const scale = Math.max(...values.map(Math.abs));
    for (const [i, value] of values.entries())
      expect(Math.abs(Number(got?.data[i]) - value) / scale).toBeLessThan(1e-4);
    await there.release();
    await here.release();
  });
});

/** The checker comes as a package for Python (Debian: python3-onnx), which not every machine has. */
const python = findTool(
  "python-onnx",
  [process.env.PYTHON ?? "python3", "/usr/bin/python3"],
  ["-c", "import onnx"],
);
const folder = mkdtempSync(join(tmpdir(), "kasmina-grown-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.skipIf(!python).each(GROWN)(
  "the ONNX project's own checker passes %s %j",
  (name, task, blueprints, options) => {
    const topology = grown(name, task, blueprints, options);
    const file = join(folder, "grown.onnx");
    writeFileSync(file, grownOnnx(topology, tensorsOf(topology), { run: "one" }));
    const program = `import onnx; onnx.checker.check_model(onnx.load(${JSON.stringify(file)}), full_check=True)`;
    expect(spawnSync(python ?? "", ["-c", program], { encoding: "utf8" })).toMatchObject({
      status: 0,
      stderr: "",
    });
  },
);
