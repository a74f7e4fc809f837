/** What a test bundles for a browser and runs there: a run of a handful of steps, on its own arrays. */
import { grow } from "kasmina";

const inputs = Array.from({ length: 80 }, (_, i) => [Math.sin(i), Math.cos(3 * i)]);
const labels = inputs.map(([x = 0]) => (x > 0 ? 1 : 0));
const told: string[] = [];

const run = await grow({
  data: { train: { inputs, labels } },
  epochs: 2,
  onNotice: (text) => told.push(text),
});
const { labels: predicted } = await run.network.predict(inputs.slice(0, 3));
const refused = await grow({ data: "spirals", runDir: "runs/x" }).catch((error: unknown) => String(error));
Object.assign(globalThis, {
  kasminaSays: {
    ended: run.ended,
    engine: run.engine,
    steps: run.steps,
    predicted: predicted.length,
    onnxBytes: (await run.network.toOnnx()).length,
    told,
    refused,
  },
});
