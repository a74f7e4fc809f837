/** A model means the same in either operator set, to the last bit. */
import { fromBinary } from "@bufbuild/protobuf";
import { grad, numpy as np } from "@jax-js/jax";
import fc from "fast-check";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { float32, type Tensor } from "../../contracts/tensor.js";
import { definitionOf } from "../backend.conformance.js";
import { type RandomProgram, randomProgram } from "../random-program.conformance.js";
import { type JaxArray, trace } from "../trace.js";
import { ModelProtoSchema } from "./gen/onnx_pb.js";
import { lowerGraph } from "./lower.js";
import { NEWER, OLDER, type OperatorSet } from "./operator-set.js";
import { writeOnnx } from "./write-onnx.js";

type Run = RandomProgram["run"];

function modelOf(inputs: readonly Tensor[], run: Run, operatorSet?: OperatorSet): Uint8Array {
  const { ir } = trace(definitionOf("function", inputs, run));
  const { graph, inputs: given, outputs } = lowerGraph("function", ir, { contrib: true });
  return writeOnnx({
    nodes: graph.nodes,
    inputs: given.map((value, i) => ({ name: `i${i}`, value })),
    outputs: outputs.map((value, i) => ({ name: `o${i}`, value })),
    ...(operatorSet && { operatorSet }),
  });
}

function versionOf(inputs: readonly Tensor[], run: Run): number {
  const { opsetImport } = fromBinary(ModelProtoSchema, modelOf(inputs, run));
  return Number(opsetImport.find(({ domain }) => domain === "")?.version);
}

/** What a model computes, as bits. */
async function bitsOf(model: Uint8Array, inputs: readonly Tensor[]): Promise<number[][]> {
  const session = await InferenceSession.create(model, { graphOptimizationLevel: "disabled" });
  const feeds = inputs.map(({ data, shape }, i): [string, OrtTensor] => [
    `i${i}`,
    new OrtTensor("float32", data as Float32Array, shape),
  ]);
  const results = await session.run(Object.fromEntries(feeds));
  await session.release();
  return session.outputNames.map((name) => {
    const data = results[name]?.data as Float32Array;
    return [...new Uint32Array(data.slice().buffer)];
  });
}

const vector = float32([4], [1, -2, 3, 0.5]);

describe("a model is written in", () => {
  test.each<[string, Run]>([
    ["sums along an axis", (x) => [np.sum(np.square(x as JaxArray), 0)]],
    ["pieces", (x) => np.split(x as JaxArray, 2)],
    ["a maximum, NaN included", (x) => [np.max(x as JaxArray)]],
    ["padding", (x) => [np.pad(x as JaxArray, [[1, 2]])]],
  ])("the older set where it does: %s", (_, run) => {
    expect(versionOf([vector], run)).toBe(OLDER.version);
  });

  test.each<[string, Run]>([
    ["bits", (x) => [np.bitwiseAnd((x as JaxArray).astype(np.int32), 3)]],
    ["padded whole numbers", (x) => [np.pad((x as JaxArray).astype(np.int32), [[1, 2]])]],
    [
      "whole numbers without a sign",
      (x) => [(x as JaxArray).astype(np.uint32).add(np.array(1, { dtype: np.uint32 }))],
    ],
    [
      "a scattered sum",
      (x) => [
        grad((y: JaxArray) => np.sum(np.square(y.slice(np.array([0, 0], { dtype: np.int32 })))))(
          x as JaxArray,
        ),
      ],
    ],
  ])("the newer set where it must be: %s", (_, run) => {
    expect(versionOf([vector], run)).toBe(NEWER.version);
  });
});

test("random programs and their gradients have the same bits in both", async () => {
  await fc.assert(
    fc.asyncProperty(randomProgram, async ({ inputs, run }) => {
      const loss = (...arrays: JaxArray[]): JaxArray => run(...arrays).at(-1) as JaxArray;
      const withGradients: Run = (...arrays) => {
        const gradient = grad(loss, { argnums: arrays.map((_, i) => i) }) as unknown as Run;
        return [...gradient(...arrays.map((array) => array.ref)), loss(...arrays)];
      };
      const [older, newer] = [OLDER, NEWER].map((set) => modelOf(inputs, withGradients, set));
      expect(await bitsOf(older as Uint8Array, inputs)).toEqual(await bitsOf(newer as Uint8Array, inputs));
    }),
    { numRuns: 40 },
  );
});
