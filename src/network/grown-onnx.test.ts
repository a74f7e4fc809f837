/** What grew in a host from a file, written back into the file: held against the network by plain ONNX Runtime. */
import { fromBinary } from "@bufbuild/protobuf";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { float32, int32, sizeOf, type Tensor, type Tensors } from "../contracts/index.js";
import { type Backend, trace } from "../engine/index.js";
import { createNativeBackend } from "../engine/native/index.js";
import { GraphProtoSchema, ModelProtoSchema } from "../engine/onnx/gen/onnx_pb.js";
import { fixture } from "../engine/onnx/import/imported-models.fixture.js";
import { fieldsOf } from "../engine/onnx/import/wire.js";
import {
  builtinBlueprints,
  initHost,
  type OnnxHostOptions,
  type OnnxTask,
  onnxHost,
  slotsOf,
} from "../nn/index.js";
import { forwardProgram } from "./forward-program.js";
import { blendControlSpecs, grownOnnx, type Topology } from "./index.js";
import { siteSpecs } from "./topology.js";

const VECTOR: OnnxTask = { inputShape: [12], classes: 4 };
const IMAGE: OnnxTask = { inputShape: [32, 32, 3], classes: 4 };
const TOKENS: OnnxTask = { inputShape: [12], inputDType: "int32", classes: 32 };
const SERIES: OnnxTask = { inputShape: [7, 5], classes: 4 };

/** A host with seeds of these blueprints, in its slots from the first on; two in the first one. */
function grown(
  name: string,
  task: OnnxTask,
  blueprints: readonly string[],
  options: OnnxHostOptions = {},
): Topology {
  const host = onnxHost(fixture(name), task, options);
  const slots = slotsOf(host);
  const sites = blueprints.map((id, i) => {
    const blueprint = builtinBlueprints.get(id);
    const parameters = Object.fromEntries(
      Object.entries(blueprint.bounds).map(([key, bound]) => [key, Math.min(bound.default, 8)]),
    );
    const slot = slots[Math.min(slots.length, Math.max(0, i - 1))] ?? slots[0];
    return { seedId: `seed-${i + 1}`, slotId: slot?.id ?? "", blueprint, parameters, part: "grown" as const };
  });
  return { host, sites, hostGradient: "detach" };
}

function filled(shape: readonly number[], seed: number, scale: number): Tensor {
  return float32(
    shape,
    Array.from({ length: sizeOf(shape) }, (_, i) => (((i + seed) % 11) - 5) * scale),
  );
}

function tensorsOf(topology: Topology): Tensors {
  const seeds = topology.sites.flatMap((site, s) =>
    Object.entries(siteSpecs(topology, site)).map(([path, { shape }], i): [string, Tensor] => [
      path,
      filled(shape, s + i, 0.05),
    ]),
  );
  const weights = Object.entries(blendControlSpecs(topology)).map(([name, { shape }]): [string, Tensor] => [
    name,
    float32(shape, 0.7),
  ]);
  return { ...initHost(topology.host, 1), ...Object.fromEntries([...seeds, ...weights]) };
}

function example({ inputShape, inputDType }: OnnxTask, batch: number): Tensor {
  const shape = [batch, ...inputShape];
  const size = sizeOf(shape);
  if (inputDType === "int32")
    return int32(
      shape,
      Array.from({ length: size }, (_, i) => (i * 7) % 30),
    );
  return float32(
    shape,
    Array.from({ length: size }, (_, i) => ((i * 37) % 101) / 50 - 1),
  );
}

/** As the file has it: images with channels first. */
function fileInput(x: Tensor): OrtTensor {
  if (x.dtype === "int32") return new OrtTensor("int64", BigInt64Array.from(x.data, BigInt), x.shape);
  const [batch = 1, height = 1, width = 1, channels] = x.shape;
  if (channels === undefined) return new OrtTensor("float32", x.data as Float32Array, x.shape);
  const plane = height * width;
  const data = Float32Array.from({ length: x.data.length }, (_, i) => {
    const [n, c, pixel] = [Math.floor(i / (plane * channels)), Math.floor(i / plane) % channels, i % plane];
    return x.data[(n * plane + pixel) * channels + c] ?? 0;
  });
  return new OrtTensor("float32", data, [batch, channels, height, width]);
}

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
  test.each<[string, OnnxTask, readonly string[], OnnxHostOptions?]>([
    ["mlp-bn-opset9", VECTOR, ["mlp-residual", "low-rank", "host-block"]],
    ["mlp-bn", VECTOR, ["mlp-residual"]],
    ["mlp-bn-opset17", VECTOR, ["mlp-residual"], { head: "new" }],
    ["resnet18-bn", IMAGE, ["conv-residual", "squeeze-excite", "mlp-residual"]],
    ["resnet18-folded", IMAGE, ["low-rank"], { head: "new" }],
    ["gpt", TOKENS, ["attention-residual", "mlp-residual"]],
    ["lstm", SERIES, ["mlp-residual"]],
  ])("%s %j", async (name, task, blueprints, options) => {
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
