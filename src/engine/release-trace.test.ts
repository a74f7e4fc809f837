import { nn, numpy as np, valueAndGrad } from "@jax-js/jax";
import { expect, test } from "vitest";
import { garbageCollector } from "../base/garbage-collector.node.js";
import { KasminaError } from "../base/index.js";
import { type Arrays, type JaxArray, type ProgramDefinition, trace } from "./trace.js";

const LAYERS = 40;
const TRACES = 25;

/** Gradient descent through many layers, so that there is much to leave behind. */
const deep: ProgramDefinition = {
  name: "deep",
  state: { w: { shape: [4, 4], dtype: "float32" } },
  batch: { x: { shape: [2, 4], dtype: "float32" } },
  controls: {},
  run({ w }: Arrays, { x }: Arrays) {
    if (!w || !x) throw new KasminaError("engine", "inputs are missing");
    const lossOf = (weights: JaxArray): JaxArray => {
      let h = x;
      for (let layer = 0; layer < LAYERS; layer++) h = nn.sigmoid(np.dot(h, weights.ref));
      weights.dispose();
      return np.square(h).mean();
    };
    const [loss, gradient] = valueAndGrad(lossOf)(w.ref);
    return { state: { w: w.sub(gradient) }, outputs: { loss } };
  },
};

test("tracing again and again leaves next to nothing behind", async () => {
  const gc = garbageCollector();
  const heapMiB = async (): Promise<number> => {
    // What weak references keep alive lives until the end of the turn.
    await new Promise((resolve) => setImmediate(resolve));
    gc();
    return process.memoryUsage().heapUsed / 2 ** 20;
  };
  const { digest } = trace(deep);
  const before = await heapMiB();
  for (let i = 0; i < TRACES; i++) {
    expect(trace(deep).digest).toBe(digest);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect((await heapMiB()) - before).toBeLessThan(2);
});
