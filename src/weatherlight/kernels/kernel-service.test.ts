import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test, vi } from "vitest";
import { KasminaError } from "../../base/index.js";
import { Catalog, enginePrewarmer, kernelSeed } from "../../catalog/index.js";
import type { KernelRequest } from "../../contracts/index.js";
import { createWasmBackend } from "../../engine/index.js";
import { type KernelEvent, parseConfig } from "../../kasmina/index.js";
import { builtinBlueprints, initKernel } from "../../nn/index.js";
import { MemoryBus } from "../../oona/index.js";
import { KernelService } from "./kernel-service.js";

const backend = await createWasmBackend();
afterAll(() => backend.dispose());

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
const config = parseConfig();
const options = { trainingRunId: "run-1", seed: 5, backend, batch: 2, config };

describe("the kernel service of a run", () => {
  test("gives each seed weights of its own, the same in every run of the same random seed", async () => {
    const [first, second] = [await KernelService.open(options), await KernelService.open(options)];
    const kernel = await first.fetch(request, signal);
    expect(kernel.tensors).toEqual(
      initKernel(builtinBlueprints.get("low-rank"), [6], { rank: 2 }, kernelSeed(5, "seed-1")),
    );
    expect((await second.fetch(request, signal)).tensors).toEqual(kernel.tensors);
    const other = await first.fetch({ ...request, requestId: "r2", seedId: "seed-2" }, signal);
    expect(other.tensors.a).not.toEqual(kernel.tensors.a);
    await Promise.all([first.close(), second.close()]);
  });

  test("reports what happens, with metrics", async () => {
    const service = await KernelService.open(options);
    const heard: string[] = [];
    let inflight: number | undefined;
    service.listen(({ name, trainingRunId }: KernelEvent, metrics) => {
      heard.push(`${name} ${trainingRunId}`);
      inflight = metrics.find((metric) => metric.name === "kasmina.prefetch.inflight")?.value;
    });
    await service.fetch(request, signal);
    expect(heard).toEqual(["prefetch_requested run-1", "prefetch_ready run-1"]);
    expect(inflight).toBe(0);
    await service.close();
  });

  test("keeps its catalog where it is told to, and leaves nothing where it is not", async () => {
    const root = await mkdtemp(join(tmpdir(), "kasmina-service-"));
    vi.stubEnv("TMPDIR", root);
    const lasting = await KernelService.open({ ...options, catalogDir: join(root, "catalog") });
    const passing = await KernelService.open(options);
    const { sha256 } = await lasting.fetch(request, signal);
    await passing.fetch(request, signal);
    await Promise.all([lasting.close(), passing.close()]);
    const catalog = await Catalog.open(join(root, "catalog"));
    expect(await catalog.verify()).toEqual([{ ref: `low-rank/${sha256}` }]);
    expect(await readdir(tmpdir())).toEqual(["catalog"]);
    vi.unstubAllEnvs();
    await rm(root, { recursive: true });
  });

  test("times kernels ahead, those that fit", async () => {
    let timed = 0;
    const service = await KernelService.open({
      ...options,
      prewarmer: async () => {
        timed++;
        return { p50Ms: 1, p95Ms: 1, batch: 1, engine: "test" };
      },
    });
    await service.prewarm(
      [
        { id: "low-rank", parameters: {} },
        { id: "conv-residual", parameters: {} },
      ],
      [[6], [4, 4, 3]],
    );
    expect(timed).toBe(3);
    await service.close();
  });

  test("a catalog that cannot be opened is an error, and leaves nothing open", async () => {
    const opening = KernelService.open({ ...options, catalogDir: "/dev/null/catalog" });
    await expect(opening).rejects.toMatchObject({ code: "io" });
  });

  test("gives up within the deadline on a bus that loses a request, and waits for its own worker without one", async () => {
    class LosingBus extends MemoryBus {
      override publish(): Promise<string> {
        return Promise.resolve("lost");
      }
    }
    const short = parseConfig({ kernel: { prefetchDeadlineMs: 20 } });
    const losing = await KernelService.open({ ...options, config: short, bus: new LosingBus() });
    await expect(losing.fetch(request, signal)).rejects.toMatchObject({ details: { reason: "timeout" } });
    const own = await KernelService.open({ ...options, config: short, holdMs: 60 });
    expect((await own.fetch(request, signal)).blueprintId).toBe("low-rank");
    await Promise.all([losing.close(), own.close()]);
  });

  test("where a kernel cannot be built, another of its blueprint stands in and says that it is a fallback", async () => {
    const root = await mkdtemp(join(tmpdir(), "kasmina-service-"));
    const prewarm = enginePrewarmer(backend, { batch: 2, runs: 3 });
    let refuses = false;
    const service = await KernelService.open({
      ...options,
      catalogDir: root,
      prewarmer: (candidate) =>
        refuses && candidate.parameters.rank === 2
          ? Promise.reject(new KasminaError("invalid_data", "low-rank gives NaN"))
          : prewarm(candidate),
    });
    refuses = true;
    await expect(service.fetch(request, signal)).rejects.toThrow("low-rank gives NaN");
    const other = await service.fetch({ ...request, requestId: "r2", parameters: { rank: 1 } }, signal);
    const fallback = await service.fetch({ ...request, requestId: "r3" }, signal);
    expect(fallback).toMatchObject({ sha256: other.sha256, parameters: { rank: 1 }, fallbackUsed: true });
    const elsewhere = { ...request, requestId: "r4", slot: { id: "block2", shape: [7], depth: 2 } };
    await expect(service.fetch(elsewhere, signal)).rejects.toThrow("low-rank gives NaN");
    const impossible = service.fetch({ ...request, requestId: "r5", parameters: { rank: -1 } }, signal);
    await expect(impossible).rejects.toThrow(/rank must be/);
    await service.close();
    await rm(root, { recursive: true });
  });

  test("closing gives up what is on its way; closing again does nothing", async () => {
    const service = await KernelService.open({ ...options, prewarmer: () => new Promise(() => {}) });
    const names: string[] = [];
    service.listen(({ name }) => names.push(name));
    const waiting = service.fetch(request, signal);
    waiting.catch(() => undefined);
    await expect.poll(() => names).toEqual(["prefetch_requested"]);
    const closing = service.close();
    await expect(waiting).rejects.toMatchObject({ code: "canceled" });
    expect(names).toEqual(["prefetch_requested", "prefetch_canceled"]);
    await closing;
    await service.close();
  });
});
