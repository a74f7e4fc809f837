/** A host from an ONNX file computes what the file does, block by block; what of it learns, and where it may grow. */
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { float32, int32, sizeOf, type Tensor, type Tensors } from "../../../contracts/index.js";
import type { Backend, JaxArray } from "../../../engine/index.js";
import { trace } from "../../../engine/index.js";
import { createNativeBackend } from "../../../engine/native/index.js";
import { fixture } from "../../../engine/onnx/import/imported-models.fixture.js";
import { floats, smallModel } from "../../../engine/onnx/import/small-model.fixture.js";
import { frozenPaths, type Host, initHost, parameterPathsOf, slotsOf } from "../../host.js";
import { type OnnxHostOptions, onnxHost } from "./index.js";

let native: Backend;
beforeAll(async () => {
  native = await createNativeBackend({ threads: 1 });
});
afterAll(() => native.dispose());

/** The host's blocks one after the other. */
async function run(host: Host, x: Tensor): Promise<Tensor | undefined> {
  const parameters = initHost(host, 1);
  const traced = trace({
    name: "host",
    state: parameters,
    batch: { x },
    controls: {},
    run: (state, batch) => {
      let h = batch.x as JaxArray;
      for (const block of host.blocks) {
        const own = [...parameterPathsOf(block)].map(([name, path]) => [name, (state[path] as JaxArray).ref]);
        h = block.apply(Object.fromEntries(own) as Record<string, JaxArray>, h);
      }
      return { state: {}, outputs: { logits: h } };
    },
  });
  const program = await native.compile(traced);
  const state = native.createState();
  state.write(parameters);
  const { logits } = await program.run(state, { x }, {});
  state.dispose();
  return logits;
}

async function original(name: string, feeds: Readonly<Record<string, OrtTensor>>): Promise<number[]> {
  const session = await InferenceSession.create(fixture(name), { logSeverityLevel: 3 });
  const { logits } = await session.run(feeds);
  await session.release();
  return Array.from((logits?.data ?? []) as Float32Array);
}

function measurements(...shape: number[]): Tensor {
  return float32(
    shape,
    Array.from({ length: sizeOf(shape) }, (_, i) => ((i * 37) % 101) / 50 - 1),
  );
}

function tokens(...shape: number[]): Tensor {
  return int32(
    shape,
    Array.from({ length: sizeOf(shape) }, (_, i) => (i * 7) % 30),
  );
}

function expectClose(tensor: Tensor | undefined, expected: readonly number[]): void {
  expect(tensor?.data.length).toBe(expected.length);
  for (const [i, value] of expected.entries()) expect(tensor?.data[i]).toBeCloseTo(value, 5);
}

const ortFloats = (x: Tensor) => new OrtTensor("float32", x.data as Float32Array, x.shape);
const ortTokens = (x: Tensor) => new OrtTensor("int64", BigInt64Array.from(x.data, BigInt), x.shape);

function slotIds(bytes: Uint8Array, inputShape: readonly number[], options: OnnxHostOptions = {}): string[] {
  return slotsOf(onnxHost(bytes, { inputShape, classes: 4 }, options)).map(({ id }) => id);
}

describe("a host from a file", () => {
  test.each([
    ["mlp-bn", [12]],
    ["encoder", [10, 6]],
    ["gru", [7, 5]],
  ] as const)("%s gives what the file gives", async (name, shape) => {
    const host = onnxHost(fixture(name), { inputShape: shape, classes: 4 }, { head: "keep" });
    const x = measurements(3, ...shape);
    expectClose(await run(host, x), await original(name, { x: ortFloats(x) }));
  });

  test.each(["resnet18-bn", "mobilenetv3", "vit"])("%s takes images with channels last", async (name) => {
    const host = onnxHost(fixture(name), { inputShape: [32, 32, 3], classes: 4 });
    const x = measurements(2, 3, 32, 32);
    const last = float32(
      [2, 32, 32, 3],
      Array.from({ length: x.data.length }, (_, i) => {
        const [n, pixel, channel] = [Math.floor(i / 3072), Math.floor((i % 3072) / 3), i % 3];
        return x.data[n * 3072 + channel * 1024 + pixel] ?? 0;
      }),
    );
    expectClose(await run(host, last), await original(name, { image: ortFloats(x) }));
  });

  test("bert makes the mask that the data lack", async () => {
    const x = tokens(2, 12);
    const host = onnxHost(fixture("bert"), { inputShape: [12], inputDType: "int32", classes: 4 });
    const mask = new OrtTensor("int64", new BigInt64Array(24).fill(1n), [2, 12]);
    expectClose(
      await run(host, x),
      await original("bert", { input_ids: ortTokens(x), attention_mask: mask }),
    );
  });

  test("gpt shares the matrix of its embedding with its head", async () => {
    const x = tokens(2, 12);
    const host = onnxHost(
      fixture("gpt"),
      { inputShape: [12], inputDType: "int32", classes: 32 },
      { train: "all" },
    );
    expect(Object.values(host.blocks.at(-1)?.shared ?? {})).toEqual([
      { block: host.blocks[0]?.name, name: "word.weight" },
    ]);
    expectClose(await run(host, x), await original("gpt", { input_ids: ortTokens(x) }));
  });

  test("takes grey images by repetition, scaled as asked", async () => {
    const image = { mean: [0.5, 0.25, 0], std: [2, 4, 1] };
    const host = onnxHost(fixture("resnet18-bn"), { inputShape: [32, 32], classes: 4 }, { image });
    const x = measurements(1, 32, 32);
    const planes = [0, 1, 2].flatMap((c) =>
      Array.from(x.data, (value) => (value - (image.mean[c] ?? 0)) / (image.std[c] ?? 1)),
    );
    const colour = new OrtTensor("float32", Float32Array.from(planes), [1, 3, 32, 32]);
    expectClose(await run(host, x), await original("resnet18-bn", { image: colour }));
  });
});

describe("slots", () => {
  test("stand behind residual sums, with channels last", () => {
    const host = onnxHost(fixture("resnet18-bn"), { inputShape: [32, 32, 3], classes: 4 });
    expect(slotsOf(host).map(({ id, shape }) => `${id} [${shape}]`)).toEqual([
      "stages_stages_0_Add_output_0 [8,8,2]",
      "stages_stages_1_Add_output_0 [8,8,2]",
      "stages_stages_2_Add_output_0 [4,4,4]",
      "stages_stages_3_Add_output_0 [4,4,4]",
      "stages_stages_4_Add_output_0 [2,2,8]",
      "stages_stages_5_Add_output_0 [2,2,8]",
      "stages_stages_6_Add_output_0 [1,1,16]",
      "stages_stages_7_Add_output_0 [1,1,16]",
    ]);
    expect(slotsOf(host)[0]?.title).toBe("/stages/stages.0/Add_output_0");
  });

  test("stand before the layers where nothing is residual", () => {
    expect(slotIds(fixture("mlp-bn"), [12])).toEqual(["2_Relu_output_0", "5_Relu_output_0"]);
  });

  test("are chosen by id or by the name of the tensor", () => {
    const slots = ["/0/Gemm_output_0", "5_Relu_output_0"];
    expect(slotIds(fixture("mlp-bn"), [12], { slots })).toEqual(["0_Gemm_output_0", "5_Relu_output_0"]);
    expect(() => slotIds(fixture("mlp-bn"), [12], { slots: ["stem"] })).toThrow(
      /the model has no slot stem; .*\/2\/Relu_output_0/,
    );
  });

  test("bear names that paths and labels can hold, whatever the file says", () => {
    const odd = ['{"layer": 1}', "a/b:c", "a/b c"];
    const bytes = smallModel({
      inputs: { x: { type: "float32", shape: ["batch", 4] } },
      initializers: { "w/1": floats([4, 4]), "w.1": floats([4, 4]), w3: floats([4, 4]), w4: floats([4, 2]) },
      nodes: [
        { op: "MatMul", inputs: ["x", "w/1"], outputs: [odd[0] ?? ""] },
        { op: "MatMul", inputs: [odd[0] ?? "", "w.1"], outputs: [odd[1] ?? ""] },
        { op: "MatMul", inputs: [odd[1] ?? "", "w3"], outputs: [odd[2] ?? ""] },
        { op: "MatMul", inputs: [odd[2] ?? "", "w4"], outputs: ["y"] },
      ],
      outputs: { y: "float32" },
    });
    const host = onnxHost(bytes, { inputShape: [4], classes: 2 });
    expect(slotsOf(host).map(({ id }) => id)).toEqual(["layer_1", "a_b_c", "a_b_c-2"]);
    expect(Object.keys(initHost(host, 0))).toEqual([
      "host/layer_1/w.1",
      "host/a_b_c/w.1-2",
      "host/a_b_c-2/w3",
      "host/head/w4",
    ]);
  });
});

describe("what learns", () => {
  const task = { inputShape: [12], classes: 4 };
  const learning = (options: OnnxHostOptions): string[] => {
    const host = onnxHost(fixture("mlp-bn"), task, options);
    const frozen = frozenPaths(host);
    return Object.keys(initHost(host, 1)).filter((path) => !frozen.has(path));
  };

  test("by default nothing of the file but a new head", () => {
    expect(learning({})).toEqual([]);
    expect(learning({ head: "new" })).toEqual(["host/head/w", "host/head/b"]);
  });

  test("a kept head where asked", () => {
    expect(learning({ train: "head" })).toEqual(["host/head/7.weight", "host/head/7.bias"]);
  });

  test("every weight where asked, running statistics never", () => {
    const all = learning({ train: "all" });
    expect(all).toHaveLength(10);
    expect(all.filter((path) => /mean|var/.test(path))).toEqual([]);
  });

  test("a head is new where the outputs are not the data's classes", () => {
    const host = onnxHost(fixture("mlp-bn"), { inputShape: [12], classes: 7 });
    expect(host.blocks.at(-1)?.outputShape).toEqual([7]);
    expect(() => onnxHost(fixture("mlp-bn"), { inputShape: [12], classes: 7 }, { head: "keep" })).toThrow(
      /the model's head gives 4 outputs, but the data has 7 classes; a new head fits/,
    );
  });

  test("and starts from the values of the file", () => {
    const tensors: Tensors = initHost(onnxHost(fixture("mlp-bn"), task), 5);
    expect(tensors).toEqual(initHost(onnxHost(fixture("mlp-bn"), task), 6));
  });
});

test("data that do not fit are refused by name", () => {
  expect(() => onnxHost(fixture("mlp-bn"), { inputShape: [13], classes: 4 })).toThrow(
    /input x of the model is \[batch, 12\], which examples of shape \[13\] do not fit/,
  );
  expect(() => onnxHost(fixture("gpt"), { inputShape: [12], classes: 32 })).toThrow(
    /takes tokens, but the data holds measurements/,
  );
});
