/** Requests, bus, worker, catalog, cache and prefetch together. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { contentOf, freshCandidate } from "../src/catalog/builder.js";
import { Catalog, enginePrewarmer, KernelBuilder, KernelWorker, packArtifact } from "../src/catalog/index.js";
import { float32, type KernelRequest, sharedTopic } from "../src/contracts/index.js";
import { createWasmBackend } from "../src/engine/index.js";
import { BlueprintLocks, KernelCache, type KernelEvent, KernelPrefetch } from "../src/kasmina/index.js";
import { builtinBlueprints, initKernel } from "../src/nn/index.js";
import { MemoryBus } from "../src/oona/index.js";

const backend = await createWasmBackend();
afterAll(() => backend.dispose());

let root = "";
let closers: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-kernels-"));
});
afterEach(async () => {
  for (const close of closers.reverse()) await close();
  closers = [];
  await rm(root, { recursive: true, force: true });
});

async function setup() {
  const bus = new MemoryBus({ redeliveryMs: 5 });
  const catalog = await Catalog.open(root);
  const prewarm = enginePrewarmer(backend, { batch: 2, runs: 3 });
  const builder = new KernelBuilder({ catalog, blueprints: builtinBlueprints, prewarm, creator: "test" });
  const worker = await KernelWorker.open({ messages: bus, builder });
  const events: KernelEvent[] = [];
  const cache = new KernelCache(new BlueprintLocks());
  const prefetch = await KernelPrefetch.open({
    messages: bus,
    reader: catalog,
    cache,
    blueprints: builtinBlueprints,
    trainingRunId: "run-1",
    observer: (event) => events.push(event),
    deadlineMs: 5000,
  });
  closers.push(
    () => bus.close(),
    () => worker.close(),
    () => prefetch.close(),
  );
  const fetch = (request: KernelRequest) => prefetch.fetch(request, new AbortController().signal);
  return { bus, catalog, builder, worker, prefetch, cache, events, fetch };
}

let ids = 0;
function requestOf(changes: Partial<KernelRequest> = {}): KernelRequest {
  return {
    requestId: `req-${++ids}`,
    blueprintId: "mlp-residual",
    parameters: { hidden: 4 },
    trainingRunId: "run-1",
    seedId: "seed-1",
    slot: { id: "block1", shape: [6], depth: 1 },
    issuedAtMs: Date.now(),
    ...changes,
  };
}

describe("a kernel asked for over the bus", () => {
  test("is built, prewarmed, published, verified and given; the second time it is found", async () => {
    const { catalog, builder, worker, prefetch, cache, events, fetch } = await setup();
    const kernel = await fetch(requestOf());
    expect(kernel.tensors).toEqual(initKernel(builtinBlueprints.get("mlp-residual"), [6], { hidden: 4 }, 0));
    expect(kernel.prewarmP50Ms).toBeGreaterThan(0);
    const again = await fetch(requestOf({ seedId: "seed-2" }));
    expect(again).toEqual(kernel);
    expect([builder.built, worker.stats, cache.stats.hits]).toEqual([
      1,
      { received: 2, ready: 2, errors: 0 },
      1,
    ]);
    expect(await catalog.verify()).toEqual([{ ref: `mlp-residual/${kernel.sha256}` }]);
    expect(prefetch.stats).toMatchObject({ inflight: 0, outstanding: 0, requests: { ready: 2 } });
    expect(events.every(({ trainingRunId }) => trainingRunId === "run-1")).toBe(true);
  });

  test("what only says that it has fresh weights is passed over, and counts as harvested where it is asked for", async () => {
    const { builder, catalog, fetch } = await setup();
    const blueprint = builtinBlueprints.get("mlp-residual");
    const fresh = freshCandidate(blueprint, [6], { hidden: 4 }, 0);
    const dead = Object.fromEntries(
      Object.entries(fresh.tensors).map(([name, { shape }]) => [name, float32(shape)]),
    );
    const prewarm = { p50Ms: 1, p95Ms: 1, batch: 2, engine: "wasm" };
    const origin = { kind: "built", initSeed: 0 } as const;
    const made = { prewarm, creator: "stranger", origin };
    const planted = await catalog.publish(packArtifact(contentOf({ ...fresh, tensors: dead }, made)));
    const kernel = await fetch(requestOf());
    expect(kernel.tensors).toEqual(fresh.tensors);
    expect([kernel.sha256 === planted.sha256, builder.built]).toEqual([false, 1]);
    const asked = await fetch(requestOf({ artifactSha256: planted.sha256, seedId: "seed-2" }));
    expect(asked.sha256).toBe(planted.sha256);
  });

  test("other initial weights are another artifact", async () => {
    const { fetch } = await setup();
    const [a, b] = [await fetch(requestOf({ initSeed: 1 })), await fetch(requestOf({ initSeed: 2 }))];
    expect(a.sha256).not.toBe(b.sha256);
    expect(a.tensors).toEqual(initKernel(builtinBlueprints.get("mlp-residual"), [6], { hidden: 4 }, 1));
  });

  test("many at once, of few kinds, build each kind once", async () => {
    const { builder, fetch, prefetch } = await setup();
    const kernels = await Promise.all(
      Array.from({ length: 60 }, (_, i) => fetch(requestOf({ seedId: `seed-${i}`, initSeed: i % 3 }))),
    );
    expect(new Set(kernels.map(({ sha256 }) => sha256)).size).toBe(3);
    expect(builder.built).toBe(3);
    expect(prefetch.stats).toMatchObject({ inflight: 0, outstanding: 0 });
  });

  test("an exact artifact can be asked for, and is refused where it is not there", async () => {
    const { fetch, catalog, cache } = await setup();
    const { sha256 } = await fetch(requestOf());
    await cache.reset();
    expect((await fetch(requestOf({ artifactSha256: sha256 }))).sha256).toBe(sha256);
    const missing = fetch(requestOf({ artifactSha256: "a".repeat(64) }));
    await expect(missing).rejects.toMatchObject({ details: { reason: "worker_error" } });
    expect((await catalog.list()).entries).toHaveLength(1);
  });

  test.each<[string, Partial<KernelRequest>, RegExp]>([
    ["a parameter out of bounds", { parameters: { hidden: 0 } }, /hidden must be/],
    ["an unknown parameter", { parameters: { depth: 1 } }, /no parameter depth/],
    ["a slot that does not fit", { blueprintId: "conv-residual", parameters: {} }, /does not fit/],
  ])("%s comes back as the worker's error", async (_name, change, message) => {
    const { fetch, worker, events } = await setup();
    await expect(fetch(requestOf(change))).rejects.toThrow(message);
    expect(worker.stats.errors).toBe(1);
    expect(events.at(-1)).toMatchObject({ name: "prefetch_error", level: "CRITICAL" });
  });

  test("an artifact that goes bad on the disk is never attached; the worker builds it anew", async () => {
    const { fetch, catalog, cache, builder } = await setup();
    const { sha256 } = await fetch(requestOf());
    const path = join(root, "mlp-residual", sha256, "weights.safetensors");
    const bytes = await readFile(path);
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
    await writeFile(path, bytes);
    await cache.reset();
    const exact = fetch(requestOf({ artifactSha256: sha256 }));
    await expect(exact).rejects.toMatchObject({ details: { reason: "worker_error" } });
    const rebuilt = await fetch(requestOf());
    expect(rebuilt.tensors).toEqual(initKernel(builtinBlueprints.get("mlp-residual"), [6], { hidden: 4 }, 0));
    expect(builder.built).toBe(2);
    expect((await catalog.verify()).filter(({ problem }) => problem !== undefined)).toHaveLength(0);
  });

  test("without any worker it times out; one that comes later finds the request and nobody waits", async () => {
    const bus = new MemoryBus();
    await (await bus.subscribe(sharedTopic("kernelRequests"), "catalog", () => {})).close();
    const catalog = await Catalog.open(root);
    const prefetch = await KernelPrefetch.open({
      messages: bus,
      reader: catalog,
      cache: new KernelCache(new BlueprintLocks()),
      blueprints: builtinBlueprints,
      trainingRunId: "run-1",
      deadlineMs: 30,
    });
    const lost = prefetch.fetch(requestOf(), new AbortController().signal);
    await expect(lost).rejects.toMatchObject({ details: { reason: "timeout" } });
    const prewarm = enginePrewarmer(backend, { batch: 2, runs: 3 });
    const builder = new KernelBuilder({ catalog, blueprints: builtinBlueprints, prewarm, creator: "test" });
    const worker = await KernelWorker.open({ messages: bus, builder });
    closers.push(
      () => bus.close(),
      () => worker.close(),
      () => prefetch.close(),
    );
    await expect.poll(() => prefetch.stats.ignoredAnswers.unknown).toBe(1);
    expect(prefetch.stats).toMatchObject({ inflight: 0, outstanding: 0, requests: { timeout: 1 } });
  });

  test("bytes that are no request end as a dead letter, and the worker goes on", async () => {
    const { bus, fetch } = await setup();
    await bus.publish(sharedTopic("kernelRequests"), Uint8Array.of(255, 1, 2));
    expect((await fetch(requestOf())).blueprintId).toBe("mlp-residual");
    await expect
      .poll(async () => (await bus.deadLetters(sharedTopic("kernelRequests"), "catalog")).length)
      .toBe(1);
  });

  test("a worker that closes leaves its requests to the next one", async () => {
    const { bus, builder, worker, fetch } = await setup();
    await worker.close();
    const waiting = fetch(requestOf());
    const next = await KernelWorker.open({ messages: bus, builder });
    closers.push(() => next.close());
    expect((await waiting).blueprintId).toBe("mlp-residual");
  });
});
