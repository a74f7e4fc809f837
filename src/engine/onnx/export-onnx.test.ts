import { fromBinary } from "@bufbuild/protobuf";
import { numpy as np } from "@jax-js/jax";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../../base/random.js";
import { float32, sizeOf, type Tensor, type Tensors } from "../../contracts/tensor.js";
import type { Backend } from "../backend.js";
import { createNativeBackend } from "../native/index.js";
import { type Arrays, type JaxArray, trace } from "../trace.js";
import { exportOnnx, type OnnxExport } from "./export-onnx.js";
import { type ModelProto, ModelProtoSchema, type TensorProto, TensorProto_DataType } from "./gen/onnx_pb.js";

function random(seed: number, ...shape: number[]): Tensor {
  const generator = new Random(seed);
  return float32(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, () => generator.normal()),
  );
}

function named(arrays: Arrays, name: string): JaxArray {
  const array = arrays[name];
  if (!array) throw new RangeError(`no ${name}`);
  return array.ref;
}

/** Image patches, a product, attention over positions, a mean: what makes a graph depend on its batch size. */
const parameters: Tensors = {
  "stem/w": random(1, 5, 12),
  "stem/b": random(2, 5),
  "mix/q": random(3, 5, 5),
  "head/w": random(4, 5, 3),
};
const model: OnnxExport = {
  name: "small net",
  parameters,
  metadata: { training_run_id: "run-1" },
  definition: (batch) => ({
    name: "small net",
    state: parameters,
    batch: { input: { shape: [batch, 6, 4], dtype: "float32" } },
    controls: {},
    run: (state, { input }) => {
      const x = input as JaxArray;
      const shifted = [0, 1, 2].map((from) => x.ref.slice([], [from, from + 4]));
      x.dispose();
      const patches = np.concatenate(shifted, -1).reshape([-1, 12]);
      const h = np
        .matmul(patches, named(state, "stem/w").transpose())
        .add(named(state, "stem/b"))
        .reshape([batch, 4, 5]);
      const scores = np.matmul(np.matmul(h.ref, named(state, "mix/q")), h.ref.transpose([0, 2, 1]));
      const weights = np.exp(scores.ref.sub(scores.max(-1, { keepdims: true })));
      const mixed = np.matmul(weights.ref.mul(np.reciprocal(weights.sum(-1, { keepdims: true }))), h);
      return { state: {}, outputs: { logits: np.matmul(mixed.mean(1), named(state, "head/w")) } };
    },
  }),
};

let backend: Backend;
beforeAll(async () => {
  backend = await createNativeBackend({ threads: 2 });
});
afterAll(() => backend.dispose());

describe("an exported forward pass", () => {
  test.each([1, 7, 1000])("gives the run's predictions at a batch of %i", async (batch) => {
    const session = await InferenceSession.create(exportOnnx(model));
    const input = random(9, batch, 6, 4);
    const program = await backend.compile(trace(model.definition(batch)));
    const state = backend.createState();
    state.write(parameters);
    const { logits } = await program.run(state, { input }, {});
    const results = await session.run({
      input: new OrtTensor("float32", input.data as Float32Array, input.shape),
    });
    expect(results.logits?.dims).toEqual([batch, 3]);
    const actual = results.logits?.data as Float32Array;
    const worst = actual.reduce(
      (max, value, i) => Math.max(max, Math.abs(value - (logits?.data[i] ?? 0))),
      0,
    );
    expect(worst).toBeLessThan(1e-5);
  });

  test("is a well-formed model of standard operators, with names, a free batch and metadata", () => {
    const file = fromBinary(ModelProtoSchema, exportOnnx(model));
    expect(problemsOf(file)).toEqual([]);
    expect(file.graph?.initializer.map(({ name }) => name)).toEqual(
      expect.arrayContaining(Object.keys(parameters)),
    );
    expect(file.metadataProps.map(({ key, value }) => [key, value])).toEqual([["training_run_id", "run-1"]]);
    expect(dimensionsOf(file, "input")).toEqual(["batch", 6n, 4n]);
    expect(dimensionsOf(file, "output")).toEqual(["batch", 3n]);
  });

  test("the structural check sees a broken model", () => {
    const file = fromBinary(ModelProtoSchema, exportOnnx(model));
    file.graph?.node.shift();
    expect(problemsOf(file)).toEqual([expect.stringMatching(/reads .* before it is computed/)]);
  });

  test("equal networks give equal bytes", () => {
    expect(exportOnnx(model)).toEqual(exportOnnx(model));
  });

  test("a pass that depends on the batch size is refused", () => {
    const meanOverBatch: OnnxExport = {
      ...model,
      definition: (batch) => ({
        ...model.definition(batch),
        run: (_state, { input }) => ({
          state: {},
          outputs: { logits: (input as JaxArray).sub(0.5).mul(1 / batch) },
        }),
      }),
    };
    expect(() => exportOnnx(meanOverBatch)).toThrow(/exporting small net: .* another batch size/);
  });
});

/** What the ONNX checker would find: undefined and doubly defined names, operators outside the standard. */
function problemsOf({ graph, opsetImport }: ModelProto): string[] {
  if (!graph) return ["no graph"];
  const defined = new Set<string>();
  const define = (names: readonly string[]): string[] =>
    names.flatMap((name) => {
      const isNew = !defined.has(name);
      defined.add(name);
      return isNew ? [] : [`${name} is defined twice`];
    });
  const isStandard = opsetImport.length === 1 && opsetImport[0]?.domain === "";
  return [
    ...(isStandard ? [] : ["operator sets"]),
    ...define([...graph.input, ...graph.initializer].map(({ name }) => name)),
    ...graph.node.flatMap((node) => [
      ...node.input
        .filter((name) => !defined.has(name))
        .map((name) => `${node.opType} reads ${name} before it is computed`),
      ...(node.domain === "" ? [] : [`${node.opType} is of ${node.domain}`]),
      ...define(node.output),
    ]),
    ...graph.output
      .filter(({ name }) => !defined.has(name))
      .map(({ name }) => `output ${name} is not computed`),
    ...graph.initializer.flatMap(sizeProblem),
  ];
}

function sizeProblem({ name, dims, rawData, dataType }: TensorProto): string[] {
  const size = dims.reduce((product, dim) => product * Number(dim), 1);
  const width = dataType === TensorProto_DataType.INT64 ? 8 : 4;
  return rawData.length === size * width ? [] : [`${name} has ${rawData.length} bytes`];
}

function dimensionsOf({ graph }: ModelProto, side: "input" | "output") {
  const type = graph?.[side][0]?.type?.value;
  return type?.case === "tensorType" ? type.value.shape?.dim.map((dim) => dim.value.value) : undefined;
}
