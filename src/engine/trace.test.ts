import { numpy as np, valueAndGrad } from "@jax-js/jax";
import { describe, expect, test } from "vitest";
import { float32, scalar } from "../contracts/tensor.js";
import { dependencies, printIr } from "./ir.js";
import { createWasmBackend } from "./jax-backend.js";
import { type Arrays, type ProgramDefinition, trace } from "./trace.js";

/** w ← w − lr·∂mean((x·w)²)/∂w, with a second state that the loss never sees. */
const definition: ProgramDefinition = {
  name: "least squares step",
  state: { w: { shape: [3], dtype: "float32" }, other: { shape: [2], dtype: "float32" } },
  batch: { x: { shape: [4, 3], dtype: "float32" } },
  controls: { lr: { shape: [], dtype: "float32" } },
  run(state, batch, controls) {
    const { w, other } = state as Record<"w" | "other", Arrays[string]>;
    const { x } = batch as Record<"x", Arrays[string]>;
    const { lr } = controls as Record<"lr", Arrays[string]>;
    const [loss, grad] = valueAndGrad((w: Arrays[string]) => np.square(np.dot(x, w)).mean())(w.ref);
    return { state: { w: w.sub(grad.mul(lr)), other: other.mul(2) }, outputs: { loss } };
  },
};

describe("trace", () => {
  test("prints the program it performed, the same each time", () => {
    const first = trace(definition);
    expect(printIr(first.ir)).toContain("= dot ");
    expect(trace(definition).digest).toBe(first.digest);
    expect(first.flops).toBeGreaterThan(2 * 4 * 3);
  });

  test("outputs know which inputs they may depend on", () => {
    const traced = trace(definition);
    const reach = dependencies(traced.ir);
    const names = (output: string) =>
      [...(reach[traced.outputs.findIndex(({ name }) => name === output)] ?? [])].map(
        (i) => traced.inputs[i]?.name,
      );
    expect(names("other")).toEqual(["other"]);
    expect(names("w").sort()).toEqual(["lr", "w", "x"]);
  });

  test("runs on wasm with state resident between runs", async () => {
    const backend = await createWasmBackend();
    const state = backend.createState();
    state.write({ w: float32([3], [1, 2, 3]), other: float32([2], [1, 1]) });
    const program = await backend.compile(trace(definition));
    const x = float32([4, 3], [1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1]);
    const first = await program.run(state, { x }, { lr: scalar(0) });
    expect(first.loss?.data[0]).toBeCloseTo((1 + 4 + 9 + 36) / 4, 5);
    await program.run(state, { x }, { lr: scalar(0.1) });
    const after = await state.read();
    expect([...(after.other?.data ?? [])]).toEqual([4, 4]);
    expect(after.w?.data[0]).toBeCloseTo(1 - 0.1 * ((2 * (1 + 6)) / 4), 5);
    await expect(program.run(state, {}, { lr: scalar(0) })).rejects.toThrow(
      /least squares step needs batch x float32\[4,3\]/,
    );
  });
});
