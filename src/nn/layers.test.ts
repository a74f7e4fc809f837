import type { numpy as np } from "@jax-js/jax";
import { afterAll, describe, expect, test } from "vitest";
import { float32, int32 } from "../contracts/index.js";
import { type Backend, openBackend, trace } from "../engine/index.js";
import { correct } from "./layers.js";

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
