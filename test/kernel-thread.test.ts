/** The thread of a run's kernels, through the built package: a worker needs JavaScript. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test, vi } from "vitest";
import type { KernelRequest } from "../src/contracts/index.js";
import type * as KasminaModule from "../src/kasmina/index.js";
import type * as NnModule from "../src/nn/index.js";
import type * as ThreadModule from "../src/weatherlight/kernels/thread-kernels.js";
import type { KernelThreadStart } from "../src/weatherlight/kernels/thread-kernels.js";

async function load<T>(path: string): Promise<T> {
  return (await import(new URL(`../dist/${path}`, import.meta.url).href)) as T;
}
const { ThreadKernels } = await load<typeof ThreadModule>("weatherlight/kernels/thread-kernels.js");
const { parseConfig } = await load<typeof KasminaModule>("kasmina/index.js");
const { builtinBlueprints, initKernel } = await load<typeof NnModule>("nn/index.js");

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
