/** What grew in a host from a file, written back into the file: held against the network by plain ONNX Runtime. */
import { fromBinary } from "@bufbuild/protobuf";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { float32, type Tensors } from "../contracts/index.js";
import { type Backend, trace } from "../engine/index.js";
import { createNativeBackend } from "../engine/native/index.js";
import { GraphProtoSchema, ModelProtoSchema } from "../engine/onnx/gen/onnx_pb.js";
import { fixture } from "../engine/onnx/import/imported-models.fixture.js";
import { fieldsOf } from "../engine/onnx/import/wire.js";
import type { OnnxTask } from "../nn/index.js";
import { forwardProgram } from "./forward-program.js";
import { example, fileInput, GROWN, grown, IMAGE, TOKENS, tensorsOf, VECTOR } from "./grown-onnx.fixture.js";
import { grownOnnx, type Topology } from "./index.js";

let native: Backend;
beforeAll(async () => {
  native = await createNativeBackend({ threads: 1 });
});
afterAll(() => native.dispose());

async function expectSame(
  topology: Topology,
  tensors: Tensors,
  model: Uint8Array,
  task: OnnxTask,
): Promise<void> {
  const session = await InferenceSession.create(model, { logSeverityLevel: 3 });
  for (const batch of [1, 3]) {
    const input = example(task, batch);
    const program = await native.compile(trace(forwardProgram(topology, batch)));
    const state = native.createState();
    state.write(tensors);
    const { logits } = await program.run(state, { input }, {});
    const results = await session.run({ [session.inputNames[0] ?? ""]: fileInput(input) });
    const file = results[session.outputNames[0] ?? ""];
    expect(file?.dims).toEqual(logits?.shape);
    const scale = Math.max(...Array.from(logits?.data ?? [], Math.abs));
    for (const [i, value] of (logits?.data ?? []).entries()) {
      expect(Math.abs(Number(file?.data[i]) - value) / scale).toBeLessThan(1e-4);
    }
    state.dispose();
  }
  await session.release();
}

/** The nodes and initializers of a file, each as its bytes. */
function parts(bytes: Uint8Array): string[] {
  const graph = fieldsOf(bytes).find(({ number }) => number === 7);
  return fieldsOf(graph?.content ?? new Uint8Array(0)).map(
    ({ number, bytes: one }) => `${number} ${Buffer.from(one).toString("base64")}`,
  );
}

describe("what grew is written back, in the file's own operator set", () => {
  test.each(GROWN)("%s %j", async (name, task, blueprints, options) => {
    const topology = grown(name, task, blueprints, options);
    const tensors = tensorsOf(topology);
    const bytes = grownOnnx(topology, tensors, { run: "one" });
    await expectSame(topology, tensors, bytes, task);
    const [before, after] = [fixture(name), bytes].map((one) => fromBinary(ModelProtoSchema, one));
    expect(after?.opsetImport).toEqual(before?.opsetImport);
    expect(after?.graph?.input).toEqual(before?.graph?.input);
    expect(
      after?.graph?.node.filter(({ name: node }) => node.startsWith("kasmina/seed-1/")).length,
    ).toBeGreaterThan(1);
    const kept = new Set(parts(bytes));
    if (!options) {
      const initializers = parts(fixture(name)).filter((one) => one.startsWith("5 "));
      expect(initializers.filter((one) => !kept.has(one))).toEqual([]);
    }
  });
});

test("without seeds and with frozen weights only the metadata differs", () => {
  const topology = grown("vit", IMAGE, []);
  const bytes = grownOnnx(topology, tensorsOf(topology), { run: "one" });
  expect(parts(bytes)).toEqual(parts(fixture("vit")));
  const model = fromBinary(ModelProtoSchema, bytes);
  expect(model.metadataProps.map(({ key, value }) => `${key}=${value}`)).toEqual(["run=one"]);
  expect(
    fromBinary(GraphProtoSchema, fieldsOf(bytes).find(({ number }) => number === 7)?.content ?? bytes),
  ).toEqual(fromBinary(ModelProtoSchema, fixture("vit")).graph);
});

test("metadata of the same key is replaced", () => {
  const topology = grown("mlp-bn", VECTOR, []);
  const once = grownOnnx(topology, tensorsOf(topology), { run: "one" });
  const origin = topology.host.origin;
  if (!origin) throw new RangeError("no origin");
  const again = { ...topology, host: { ...topology.host, origin: { ...origin, bytes: once } } };
  const { metadataProps } = fromBinary(
    ModelProtoSchema,
    grownOnnx(again, tensorsOf(topology), { run: "two" }),
  );
  expect(metadataProps.map(({ key, value }) => `${key}=${value}`)).toEqual(["run=two"]);
});

test("weights that have learned replace those of the file, in Constant nodes too", async () => {
  const topology = grown("bert", { ...TOKENS, classes: 4 }, [], { train: "all" });
  const tensors = tensorsOf(topology);
  const learned = Object.fromEntries(
    Object.entries(tensors).map(([path, { shape, data }]) => [
      path,
      float32(
        shape,
        Float32Array.from(data, (value, i) => value + ((i % 5) - 2) / 50),
      ),
    ]),
  );
  const bytes = grownOnnx(topology, learned);
  const session = await InferenceSession.create(bytes, { logSeverityLevel: 3 });
  const x = example(TOKENS, 2);
  const { logits } = await session.run({
    input_ids: fileInput(x),
    attention_mask: new OrtTensor("int64", new BigInt64Array(24).fill(1n), [2, 12]),
  });
  const program = await native.compile(trace(forwardProgram(topology, 2)));
  const state = native.createState();
  state.write(learned);
  const expected = (await program.run(state, { input: x }, {})).logits;
  for (const [i, value] of (expected?.data ?? []).entries())
    expect(Number(logits?.data[i])).toBeCloseTo(value, 4);
  state.dispose();
  await session.release();
});

test("a host from no file has none to be written into", () => {
  const { host, ...rest } = grown("mlp-bn", VECTOR, []);
  const { origin: _, ...own } = host;
  expect(() => grownOnnx({ ...rest, host: own }, {})).toThrow(/did not come from an ONNX file/);
});
