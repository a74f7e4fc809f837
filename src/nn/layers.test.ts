import type { numpy as np } from "@jax-js/jax";
import { afterAll, describe, expect, test } from "vitest";
import { float32, int32 } from "../contracts/index.js";
import { type Backend, openBackend, trace } from "../engine/index.js";
import { correct, exampleLoss, type LossOptions } from "./layers.js";

const { NaN: NAN, POSITIVE_INFINITY: INF } = Number;

describe.each(["wasm", "native"] as const)("what counts as right on %s", (engine) => {
  const opened: Promise<{ backend: Backend }> = openBackend(engine, { threads: 1 });
  afterAll(async () => (await opened).backend.dispose());

  async function judge(logits: readonly number[], label: number): Promise<number> {
    const { backend } = await opened;
    const definition = {
      name: "correct",
      state: {},
      batch: {
        logits: { shape: [1, logits.length], dtype: "float32" as const },
        labels: { shape: [1], dtype: "int32" as const },
      },
      controls: {},
      run: (_: unknown, batch: Record<string, np.Array>) => ({
        state: {},
        outputs: { right: correct(batch.logits as np.Array, batch.labels as np.Array).sum() },
      }),
    };
    const program = await backend.compile(trace(definition));
    const state = backend.createState();
    const { right } = await program.run(
      state,
      { logits: float32([1, logits.length], logits), labels: int32([1], [label]) },
      {},
    );
    return right?.data[0] ?? NAN;
  }

  test.each<[readonly number[], number, number]>([
    [[1, 2, 3], 2, 1],
    [[1, 2, 3], 0, 0],
    [[-3e38, 3e38, 3e38], 1, 1 / 2],
    [[0, 0, 0], 0, 1 / 3],
    [[0, 0, 0], 2, 1 / 3],
    [[5, 5, 7, 7], 0, 0],
    [[5, 5, 7, 7], 3, 1 / 2],
    [[0, -0], 1, 1 / 2],
    [[NAN, NAN, NAN], 0, 0],
    [[NAN, 1, 2], 2, 0],
    [[1, 2, NAN], 2, 0],
    [[INF, 0, 0], 0, 0],
    [[-INF, 0, 1], 2, 0],
  ])("logits %j, label %i: %f", async (logits, label, expected) => {
    expect(await judge(logits, label)).toBeCloseTo(expected, 6);
  });
});

describe.each(["wasm", "native"] as const)("the loss of an example on %s", (engine) => {
  const opened: Promise<{ backend: Backend }> = openBackend(engine, { threads: 1 });
  afterAll(async () => (await opened).backend.dispose());

  const LOGITS = [0.5, -1, 2];
  const LOG_TOTAL = Math.log(LOGITS.reduce((sum, value) => sum + Math.exp(value), 0));

  async function lossOf(label: number, options?: LossOptions): Promise<number> {
    const { backend } = await opened;
    const program = await backend.compile(
      trace({
        name: "loss",
        state: {},
        batch: { logits: { shape: [1, 3], dtype: "float32" }, labels: { shape: [1], dtype: "int32" } },
        controls: {},
        run: (_: unknown, batch: Record<string, np.Array>) => ({
          state: {},
          outputs: { loss: exampleLoss(batch.logits as np.Array, batch.labels as np.Array, options).sum() },
        }),
      }),
    );
    const state = backend.createState();
    const batch = {
      logits: float32([1, 3], Float32Array.from(LOGITS)),
      labels: int32([1], Int32Array.of(label)),
    };
    const { loss } = await program.run(state, batch, {});
    state.dispose();
    program.dispose();
    return Number(loss?.data[0]);
  }

  test.each([0, 1, 2])("is the cross-entropy, times the weight of its class: class %i", async (label) => {
    const plain = LOG_TOTAL - (LOGITS[label] ?? 0);
    expect(await lossOf(label)).toBeCloseTo(plain, 5);
    const classWeights = [0.5, 3, 0];
    expect(await lossOf(label, { classWeights })).toBeCloseTo((classWeights[label] ?? 0) * plain, 5);
  });

  test("shares a smoothed label among all classes", async () => {
    const mean = LOGITS.reduce((sum, value) => sum + LOG_TOTAL - value, 0) / 3;
    const expected = 0.7 * (LOG_TOTAL + 1) + 0.3 * mean;
    expect(await lossOf(1, { labelSmoothing: 0.3 })).toBeCloseTo(expected, 5);
    expect(await lossOf(1, { labelSmoothing: 0.3, classWeights: [1, 2, 1] })).toBeCloseTo(2 * expected, 5);
  });
});
