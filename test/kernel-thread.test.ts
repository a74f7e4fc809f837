/** The thread of a run's kernels, through the built package: a worker needs JavaScript. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test, vi } from "vitest";
import type { KernelRequest, TelemetryMetric, TelemetryPacket } from "../src/contracts/index.js";
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
const { builtinBlueprints, createHost, initKernel } = await load<typeof NnModule>("nn/index.js");
const { makeSpirals } = await load<typeof DataModule>("data/index.js");
const { PlateauPolicy } = await load<typeof TamiyoModule>("tamiyo/index.js");

const config = parseConfig({ leadSteps: 5 });
const start: KernelThreadStart = { trainingRunId: "run-1", seed: 0, engine: "wasm", batch: 4, config };
const request: KernelRequest = {
  requestId: "r1",
  blueprintId: "low-rank",
  parameters: { rank: 2 },
  trainingRunId: "run-1",
  seedId: "seed-1",
  slot: { id: "block1", shape: [6], depth: 1 },
  issuedAtMs: 0,
};
const signal = new AbortController().signal;

describe("kernels from a thread", () => {
  test("come from one that does not have the secrets of the environment", async () => {
    const folder = mkdtempSync(join(tmpdir(), "kasmina-kernels-"));
    const module = join(folder, "blueprints.mjs");
    writeFileSync(module, "throw new Error('keys ' + process.env.KASMINA_KEYS);\n");
    vi.stubEnv("KASMINA_KEYS", `e1:${"ab".repeat(32)}`);
    try {
      const blueprints = [{ module: pathToFileURL(module).href, name: "mine" }];
      await expect(ThreadKernels.open({ ...start, blueprints })).rejects.toThrow(/keys undefined/);
    } finally {
      vi.unstubAllEnvs();
      rmSync(folder, { recursive: true });
    }
  });

  test("come over whole, with the events that tell of them", async () => {
    const kernels = await ThreadKernels.open(start);
    const names: string[] = [];
    kernels.listen(({ name, seedId }) => names.push(`${name} ${seedId}`));
    const kernel = await kernels.fetch({ ...request, initSeed: 3 }, signal);
    expect(kernel.tensors).toEqual(initKernel(builtinBlueprints.get("low-rank"), [6], { rank: 2 }, 3));
    expect(names).toEqual(["prefetch_requested seed-1", "prefetch_ready seed-1"]);
    kernels.forget();
    expect((await kernels.fetch({ ...request, requestId: "r2", initSeed: 3 }, signal)).sha256).toBe(
      kernel.sha256,
    );
    await kernels.close();
  });

  test("errors keep their kind and reason", async () => {
    const kernels = await ThreadKernels.open(start);
    const nowhere = kernels.fetch({ ...request, trainingRunId: " " }, signal);
    await expect(nowhere).rejects.toMatchObject({
      name: "DependencyViolationError",
      details: { reason: "missing_training_run_id" },
    });
    await kernels.close();
  });

  test("a request that is given up is reported as canceled", async () => {
    const kernels = await ThreadKernels.open({ ...start, holdMs: 60_000 });
    const names: string[] = [];
    kernels.listen(({ name }) => names.push(name));
    const controller = new AbortController();
    const fetched = kernels.fetch({ ...request, initSeed: 1 }, controller.signal);
    fetched.catch(() => undefined);
    controller.abort();
    await expect(fetched).rejects.toMatchObject({ code: "canceled" });
    expect(names).toEqual(["prefetch_requested", "prefetch_canceled"]);
    await kernels.close();
  });

  test("closing with requests on their way ends them all, soon; afterwards nothing is served", async () => {
    const kernels = await ThreadKernels.open({ ...start, holdMs: 60_000 });
    const waiting = Array.from({ length: 100 }, (_, i) =>
      kernels.fetch({ ...request, requestId: `r${i}`, seedId: `seed-${i}` }, new AbortController().signal),
    );
    const outcomes = Promise.allSettled(waiting);
    await kernels.close();
    expect(new Set((await outcomes).map(({ status }) => status))).toEqual(new Set(["rejected"]));
    await expect(kernels.fetch(request, signal)).rejects.toMatchObject({ code: "dependency_violation" });
  });

  test("a catalog that cannot be opened is an error at once", async () => {
    const opening = ThreadKernels.open({ ...start, catalogDir: "/dev/null/catalog" });
    await expect(opening).rejects.toMatchObject({ code: "io" });
  });
});

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
