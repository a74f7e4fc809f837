/**
 * What a catalog service elsewhere says of a kernel, over a real Redis: that it took another one, or how slow it is, reaches the gates
 * of a whole run, and a replay judges by the same words without it.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { KasminaError } from "../../base/index.js";
import { enginePrewarmer, type Prewarmer } from "../../catalog/index.js";
import { KeyRing, SignedMessages, type TelemetryEvent } from "../../contracts/index.js";
import { openBackend } from "../../engine/index.js";
import { MemoryJournal, parseConfig } from "../../kasmina/index.js";
import { RedisStreamsBus } from "../../oona/index.node.js";
import { RedisServer, redisServer } from "../../oona/redis-server.fixture.js";
import type { RunSetup } from "../grow/run-setup.js";
import { optionsFor } from "../grow/train-run.fixture.js";
import { trainRun } from "../grow/train-run.js";
import { CatalogService } from "../services/catalog-service.js";
import { KernelService } from "./kernel-service.js";

const { backend } = await openBackend("native", { threads: 1 });
afterAll(() => backend.dispose());

const trainer = { id: "trainer", role: "trainer", secret: new Uint8Array(32).fill(1) } as const;
const kernel = { id: "catalog", role: "kernel", secret: new Uint8Array(32).fill(2) } as const;
const config = parseConfig({
  kernel: { latencyBudgetMs: 10, prefetchDeadlineMs: 60_000 },
  gates: { confidence: 0, minShadowGain: -1, minContribution: -1 },
});
const measured = enginePrewarmer(backend, { batch: 60, runs: 5 });
const fast: Prewarmer = async (candidate) => ({ ...(await measured(candidate)), p50Ms: 1, p95Ms: 1 });

describe.skipIf(!redisServer)("the catalog service of a run", () => {
  let redis: RedisServer;
  let root = "";
  const ends: (() => unknown)[] = [];
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.stop());
  beforeEach(async () => {
    await redis.command("FLUSHALL");
    root = await mkdtemp(join(tmpdir(), "kasmina-catalog-"));
    ends.push(() => rm(root, { recursive: true, force: true }));
  });
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });

  const openMessages = async (keys: KeyRing) => {
    const bus = await RedisStreamsBus.open({ url: redis.url });
    ends.push(() => bus.close());
    return new SignedMessages({ port: bus, keys });
  };

  /** As `kasmina serve catalog`, but for how kernels are timed. */
  const openCatalog = async (prewarmer: Prewarmer, signing: typeof kernel | typeof trainer = kernel) => {
    const keys = new KeyRing(signing === kernel ? [kernel, trainer] : [trainer, kernel]);
    const bus = await RedisStreamsBus.open({ url: redis.url });
    ends.push(() => bus.close());
    const service = await CatalogService.open({ bus, keys, catalogDir: root, backend, prewarmer });
    ends.push(() => service.close());
    return service;
  };

  const openKernels = async () => {
    const service = await KernelService.open({
      ...{ trainingRunId: "test-run", seed: 5, catalogDir: root, backend, batch: 60, config },
      catalogService: await openMessages(new KeyRing([trainer, kernel])),
    });
    ends.push(() => service.close());
    return service;
  };

  const run = async (options: Partial<RunSetup>) => {
    const events: TelemetryEvent[] = [];
    const losses: number[] = [];
    const { checkpoint, end } = await trainRun({
      ...{ ...optionsFor(backend), epochs: 6, config },
      onLoss: (_, loss) => void losses.push(loss),
      onEvent: (event) => void events.push(event),
      ...options,
    });
    const failures = events.filter(({ name }) => name === "gate_failure").map(({ attributes }) => attributes);
    return { events, losses, failures, tensors: checkpoint.tensors, end };
  };

  test("a kernel of the service is grafted", async () => {
    const service = await openCatalog(fast);
    const whole = await run({ kernels: await openKernels() });
    expect(whole.failures).toEqual([]);
    expect(whole.events.filter(({ name }) => name === "prefetch_ready")).not.toEqual([]);
    expect(service.status()).toMatchObject({ errors: 0, refused: 0 });
    expect(service.status().ready).toBeGreaterThan(0);
  });

  test("that it took another kernel fails gate G0, here and in a replay without it", async () => {
    const other = await openCatalog(fast);
    const kernels = await openKernels();
    const slot = { id: "block1", shape: [8], depth: 1 };
    const about = { trainingRunId: "test-run", seedId: "seed-1", issuedAtMs: 0, slot };
    const request = { ...about, requestId: "r0", blueprintId: "mlp-residual", parameters: { hidden: 4 } };
    await kernels.fetch(request, new AbortController().signal);
    await other.close();
    await openCatalog((candidate) =>
      candidate.parameters.hidden === 4
        ? fast(candidate)
        : Promise.reject(new KasminaError("invalid_data", "mlp-residual gives NaN")),
    );
    const journal = new MemoryJournal();
    const whole = await run({ kernels, journal });
    expect(whole.failures).toMatchObject([
      { gate: "G0_SANITY", reason: "fallback_kernel_used", seed_id: "seed-1" },
    ]);
    expect(journal.fetchResults).toMatchObject([{ found: { status: "attached", fallbackUsed: true } }]);
    const again = await run({ journal, policy: null, replay: true });
    expect([again.failures, again.losses, again.tensors]).toEqual([
      whole.failures,
      whole.losses,
      whole.tensors,
    ]);
  });

  test("how slow it measured a kernel fails gate G2, here and in a replay on a faster machine", async () => {
    await openCatalog(async (candidate) => ({ ...(await measured(candidate)), p50Ms: 12, p95Ms: 12 }));
    const journal = new MemoryJournal();
    const whole = await run({ kernels: await openKernels(), journal });
    expect(whole.failures).toMatchObject([{ gate: "G2_STABILITY", reason: "latency_budget_exceeded" }]);
    expect(journal.fetchResults).toMatchObject([{ found: { prewarmP95Ms: 12 } }]);
    const again = await run({ journal, policy: null, replay: true });
    expect([again.failures, again.losses, again.tensors]).toEqual([
      whole.failures,
      whole.losses,
      whole.tensors,
    ]);
  });

  test("an answer under a key that may not answer is none, and the seed is culled", async () => {
    await openCatalog(fast, trainer);
    const kernels = await KernelService.open({
      ...{ trainingRunId: "test-run", seed: 5, catalogDir: root, backend, batch: 60 },
      config: parseConfig({ ...config, kernel: { ...config.kernel, prefetchDeadlineMs: 1_500 } }),
      catalogService: await openMessages(new KeyRing([trainer, kernel])),
    });
    ends.push(() => kernels.close());
    const whole = await run({ kernels });
    expect(whole.events.filter(({ name }) => name === "prefetch_timeout")).toHaveLength(1);
    expect(whole.failures).toMatchObject([{ reason: "kernel_not_attached" }]);
  });
});
