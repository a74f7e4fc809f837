/** 50,000 steps: resident memory stays what it was after 5,000. */
import { numpy as np, valueAndGrad } from "@jax-js/jax";
import { expect, test } from "vitest";
import { float32, scalar } from "../../contracts/tensor.js";
import { type JaxArray, trace } from "../trace.js";
import { createNativeBackend } from "./native-backend.js";

const STEPS = 50_000;
const WARM_STEPS = 5_000;
const BATCH = 32;

test("memory is flat over 50,000 steps", async () => {
  const backend = await createNativeBackend({ threads: 1 });
  const state = backend.createState();
  state.write({ w: float32([16, 8], 0.1), m: float32([16, 8]) });
  const program = await backend.compile(
    trace({
      name: "momentum step",
      state: { w: { shape: [16, 8], dtype: "float32" }, m: { shape: [16, 8], dtype: "float32" } },
      batch: { x: { shape: [BATCH, 16], dtype: "float32" } },
      controls: { lr: { shape: [], dtype: "float32" } },
      run: (arrays, { x }, { lr }) => {
        const { w, m } = arrays as { w: JaxArray; m: JaxArray };
        const [loss, gradient] = valueAndGrad((v: JaxArray) =>
          np.square(np.matmul(x as JaxArray, v).sub(1)).mean(),
        )(w.ref);
        const momentum = m.mul(0.9).add(gradient);
        return { state: { w: w.sub(momentum.ref.mul(lr as JaxArray)), m: momentum }, outputs: { loss } };
      },
    }),
  );
  let warmBytes = 0;
  for (let step = 1; step <= STEPS; step++) {
    const x = float32(
      [BATCH, 16],
      Float32Array.from({ length: BATCH * 16 }, (_, i) => ((i * step) % 97) / 97),
    );
    await program.run(state, { x }, { lr: scalar(0.001) });
    if (step === WARM_STEPS) warmBytes = process.memoryUsage().rss;
  }
  expect(process.memoryUsage().rss / warmBytes).toBeLessThan(1.03);
  await backend.dispose();
});
