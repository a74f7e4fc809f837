/** 200,000 steps: resident memory stays what it was after the first 5,000. */
import { numpy as np, valueAndGrad } from "@jax-js/jax";
import { expect, test } from "vitest";
import { garbageCollector } from "../../base/garbage-collector.node.js";
import { float32, scalar } from "../../contracts/tensor.js";
import { type JaxArray, trace } from "../trace.js";
import { createNativeBackend } from "./native-backend.js";

const STEPS = 200_000;
const WARM_STEPS = 5_000;
/** Memory is looked at so often, after a collection. The least of several looks is what is held, whatever waits to be collected. */
const LOOK_EVERY = 1_000;
/** Once, at a moment of its choice, V8 compiles with 13 MiB that it keeps. 16 MiB are 88 bytes a step, less than one object. */
const MAX_GROWTH_MIB = 16;
const BATCH = 32;

test("memory is flat over 200,000 steps", async () => {
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
  const gc = garbageCollector();
  const looks: { step: number; bytes: number }[] = [];
  for (let step = 1; step <= STEPS; step++) {
    const x = float32(
      [BATCH, 16],
      Float32Array.from({ length: BATCH * 16 }, (_, i) => ((i * step) % 97) / 97),
    );
    await program.run(state, { x }, { lr: scalar(0.001) });
    if (step % LOOK_EVERY > 0) continue;
    gc();
    looks.push({ step, bytes: process.memoryUsage().rss });
  }
  const leastMiB = (from: number, to: number) =>
    Math.min(...looks.filter(({ step }) => step >= from && step <= to).map(({ bytes }) => bytes)) / 2 ** 20;
  const warm = leastMiB(WARM_STEPS, 2 * WARM_STEPS);
  const last = leastMiB(STEPS - WARM_STEPS, STEPS);
  console.info(`${warm.toFixed(1)} → ${last.toFixed(1)} MiB resident`);
  expect(last - warm).toBeLessThan(MAX_GROWTH_MIB);
  await backend.dispose();
});
