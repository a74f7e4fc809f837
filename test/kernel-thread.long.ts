/** Whole runs that get their kernels from a thread, through the built package: a worker needs JavaScript. */

import { describe, expect, test } from "vitest";
import type { TelemetryMetric, TelemetryPacket } from "../src/contracts/index.js";
import type * as DataModule from "../src/data/index.js";
import type * as EngineModule from "../src/engine/index.js";
import type * as KasminaModule from "../src/kasmina/index.js";
import type * as NnModule from "../src/nn/index.js";
import type * as TamiyoModule from "../src/tamiyo/index.js";
import type * as GrowModule from "../src/weatherlight/grow/train-run.js";
import type * as ThreadModule from "../src/weatherlight/kernels/thread-kernels.js";
import type { KernelThreadStart } from "../src/weatherlight/kernels/thread-kernels.js";

async function load<T>(path: string): Promise<T> {
  return (await import(new URL(`../dist/${path}`, import.meta.url).href)) as T;
}
const { ThreadKernels } = await load<typeof ThreadModule>("weatherlight/kernels/thread-kernels.js");
const { trainRun } = await load<typeof GrowModule>("weatherlight/grow/train-run.js");
const { parseConfig } = await load<typeof KasminaModule>("kasmina/index.js");
const { createWasmBackend } = await load<typeof EngineModule>("engine/index.js");
const { createHost } = await load<typeof NnModule>("nn/index.js");
const { makeSpirals } = await load<typeof DataModule>("data/index.js");
const { PlateauPolicy } = await load<typeof TamiyoModule>("tamiyo/index.js");

const config = parseConfig({ leadSteps: 5 });
const start: KernelThreadStart = { trainingRunId: "run-1", seed: 0, engine: "wasm", batch: 4, config };

describe("a run that gets its kernels from a thread", () => {
  const dataset = makeSpirals({ train: 1500, test: 100 });
  const host = createHost("resmlp", dataset);

  /** Two short epochs with one germination at the start of the second. */
  async function run(thread: Partial<KernelThreadStart> | undefined, leadSteps: number) {
    const backend = await createWasmBackend();
    const runConfig = parseConfig({ leadSteps });
    const kernels = thread
      ? await ThreadKernels.open({ ...start, batch: 50, config: runConfig, ...thread })
      : undefined;
    const packets: TelemetryPacket[] = [];
    const result = await trainRun({
      runId: "run-1",
      host,
      dataset,
      backend,
      epochs: 2,
      batch: 50,
      seed: 1,
      config: runConfig,
      policy: new PlateauPolicy({
        blueprints: [{ id: "mlp-residual", parameters: { hidden: 8 } }],
        germinateAtEpoch: 1,
      }),
      onPacket: (packet) => packets.push(packet),
      ...(kernels && { kernels }),
    });
    await kernels?.close();
    await backend.dispose();
    const metrics = packets.flatMap((packet) => packet.metrics);
    const valuesOf = (name: string): number[] =>
      metrics.filter((metric: TelemetryMetric) => metric.name === name).map(({ value }) => value);
    const events = packets.flatMap((packet) => packet.events.map(({ name }) => name));
    return { result, events, packets, stallMs: Math.max(0, ...valuesOf("kasmina.graft.stall_ms")), valuesOf };
  }

  test("is the same to the last bit whether it waits for them or builds them itself, and the wait is counted", async () => {
    const own = await run(undefined, 2);
    const slow = await run({ seed: 1, holdMs: 500 }, 2);
    expect(slow.result.checkpoint.tensors).toEqual(own.result.checkpoint.tensors);
    expect(slow.result.accuracy).toBe(own.result.accuracy);
    expect(slow.events).toContain("prefetch_ready");
    expect(own.result.seeds).toHaveLength(1);
    expect(Object.keys(own.result.checkpoint.tensors).some((path) => path.startsWith("seed/"))).toBe(true);
    expect(slow.stallMs).toBeGreaterThan(0);
    expect(slow.valuesOf("kasmina.prefetch.inflight").at(-1)).toBe(0);
    expect(slow.packets.every(({ trainingRunId }) => trainingRunId === "run-1")).toBe(true);
  });

  test("waits for a kernel of its own thread as long as it takes: no deadline of the clock culls a seed", async () => {
    const slow = await run(
      { seed: 1, config: parseConfig({ kernel: { prefetchDeadlineMs: 1 } }), holdMs: 300 },
      2,
    );
    expect(slow.events).not.toContain("prefetch_timeout");
    expect(slow.events).not.toContain("gate_failure");
    expect(Object.keys(slow.result.checkpoint.tensors).some((path) => path.startsWith("seed/"))).toBe(true);
  });
});
