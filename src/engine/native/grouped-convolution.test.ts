/** Which operators grouped convolutions and their gradients become; what they compute is in the conformance suite. */
import { grad, lax, numpy as np } from "@jax-js/jax";
import { describe, expect, test } from "vitest";
import type { TensorSpec } from "../../contracts/tensor.js";
import { exportOnnx } from "../onnx/export-onnx.js";
import type { JaxArray } from "../trace.js";
import { operators } from "./operators.fixture.js";
import { loadOrt } from "./ort.js";

const GROUPS = 4;
const IMAGE: TensorSpec = { shape: [2, GROUPS, 8, 8], dtype: "float32" };
const FILTER: TensorSpec = { shape: [GROUPS, 1, 3, 3], dtype: "float32" };

function depthwise(x: JaxArray, w: JaxArray, stride: number): JaxArray {
  const padding: [number, number][] = [
    [1, 1],
    [1, 1],
  ];
  return lax.convGeneralDilated(x, w, [stride, stride], padding, { featureGroupCount: GROUPS });
}

function inputGradient(stride: number) {
  return grad((x: JaxArray, w: JaxArray) => np.sum(np.square(depthwise(x, w, stride))));
}

const isConvolution = (op: string): boolean => op.startsWith("Conv");

describe("a depthwise convolution", () => {
  test("is one Conv, whose operands nothing moves", () => {
    expect(operators([IMAGE, FILTER], (x, w) => depthwise(x, w, 1))).toEqual(["Conv"]);
  });

  test("has an input gradient that is a Conv without, a ConvTranspose with a stride", () => {
    const plain = operators([IMAGE, FILTER], inputGradient(1));
    expect(plain.filter(isConvolution)).toEqual(["Conv", "Conv"]);
    const strided = operators([IMAGE, FILTER], inputGradient(2));
    expect(strided.filter(isConvolution)).toEqual(["Conv", "ConvTranspose"]);
  });

  test("is exported with the batch size free", async () => {
    const { InferenceSession, Tensor } = await loadOrt();
    const weights = { shape: FILTER.shape, dtype: "float32" as const, data: new Float32Array(36).fill(1) };
    const model = exportOnnx({
      name: "depthwise",
      definition: (batch) => ({
        name: "depthwise",
        state: { w: FILTER },
        batch: { image: { shape: [batch, GROUPS, 8, 8], dtype: "float32" } },
        controls: {},
        run: ({ w }, { image }) => ({
          state: {},
          outputs: { out: depthwise(image as JaxArray, w as JaxArray, 2) },
        }),
      }),
      parameters: { w: weights },
    });
    const session = await InferenceSession.create(model);
    for (const batch of [1, 3]) {
      const size = batch * GROUPS * 64;
      const image = new Tensor("float32", new Float32Array(size).fill(1), [batch, GROUPS, 8, 8]);
      const { out } = await session.run({ image });
      expect(out?.dims).toEqual([batch, GROUPS, 4, 4]);
      expect([...((out?.data as Float32Array | undefined) ?? [])].slice(0, 6)).toEqual([4, 6, 6, 6, 6, 9]);
    }
    await session.release();
  });
});
