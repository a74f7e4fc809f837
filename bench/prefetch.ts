/**
 * What fetching a kernel costs beside the time the worker needs for it. A worker that only waits (latency ± jitter)
 * answers requests over the in-process bus; each answer names one of `--artifacts` artifacts on the disk, taken in turn.
 * Up to 32 fit the cache, so each is read and verified once, before the measured requests; with more than 32 the cache
 * never helps, and every request reads and verifies its artifact from the disk.
 *
 * The overhead of a request is its latency less the time the worker held it, from receipt to answer.
 *
 * Arguments: --requests 300 --ready-latency-ms 40 --jitter-ms 8 --concurrency 6 --artifacts 16
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { KasminaError, mean, percentile, Random } from "kasmina/base";
import { Catalog, type CatalogEntry, packArtifact } from "kasmina/catalog";
import {
  decodeKernelRequest,
  encodeKernelReady,
  type MessagePort,
  runTopic,
  sharedTopic,
} from "kasmina/contracts";
import { BlueprintLocks, KernelCache, KernelPrefetch } from "kasmina/kasmina";
import { builtinBlueprints, initKernel } from "kasmina/nn";
import { MemoryBus } from "kasmina/oona";
import type { Figures, Measurement } from "./measurement.js";

const BLUEPRINT = builtinBlueprints.get("mlp-residual");
const PARAMETERS = { hidden: 32 };
const SLOT = { id: "block1", shape: [64], depth: 1 };
/** Answered at once and not measured: they fill the cache and let the JIT compile what is measured. */
const WARM_UP_REQUESTS = 2000;

export const prefetch: Measurement = {
  name: "prefetch",
  summary: "latency of fetching kernels, and the overhead over the worker's own time",
  async run(args) {
    const settings = settingsFrom(args);
    const root = await mkdtemp(join(tmpdir(), "kasmina-bench-"));
    try {
      return await measure(settings, await Catalog.open(root));
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  },
};

interface Settings {
  readonly requests: number;
  readonly readyLatencyMs: number;
  readonly jitterMs: number;
  readonly concurrency: number;
  readonly artifacts: number;
}

function settingsFrom(args: readonly string[]): Settings {
  const { values } = parseArgs({
    args: [...args],
    options: {
      requests: { type: "string", default: "300" },
      "ready-latency-ms": { type: "string", default: "40" },
      "jitter-ms": { type: "string", default: "8" },
      concurrency: { type: "string", default: "6" },
      artifacts: { type: "string", default: "16" },
    },
  });
  return {
    requests: numberFrom("requests", values.requests, 1),
    readyLatencyMs: numberFrom("ready-latency-ms", values["ready-latency-ms"], 0),
    jitterMs: numberFrom("jitter-ms", values["jitter-ms"], 0),
    concurrency: numberFrom("concurrency", values.concurrency, 1),
    artifacts: numberFrom("artifacts", values.artifacts, 1),
  };
}

function numberFrom(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < least)
    throw new KasminaError(
      "invalid_argument",
      `--${name}: expected a number of at least ${least}, got ${text}`,
    );
  return value;
}

async function measure(settings: Settings, catalog: Catalog): Promise<Figures> {
  const bus = new MemoryBus({ maxQueued: 4096 });
  const heldMs = await answerRequests(bus, await publishArtifacts(catalog, settings.artifacts), settings);
  const source = await KernelPrefetch.open({
    messages: bus,
    reader: catalog,
    cache: new KernelCache(new BlueprintLocks()),
    blueprints: builtinBlueprints,
    trainingRunId: "bench",
    maxRunning: settings.concurrency,
    deadlineMs: 60_000,
  });
  const samples: { latencyMs: number; overheadMs: number }[] = [];
  let errors = 0;
  let next = 0;
  const total = settings.requests + WARM_UP_REQUESTS;
  const keepAsking = async (): Promise<void> => {
    for (let i = next++; i < total; i = next++) {
      const requestId = `request-${i}`;
      const startMs = performance.now();
      const request = {
        requestId,
        blueprintId: BLUEPRINT.id,
        parameters: PARAMETERS,
        trainingRunId: "bench",
        seedId: `seed-${i}`,
        slot: SLOT,
        issuedAtMs: Date.now(),
        initSeed: i,
      };
      try {
        await source.fetch(request, new AbortController().signal);
      } catch {
        errors++;
        continue;
      }
      const latencyMs = performance.now() - startMs;
      if (i < WARM_UP_REQUESTS) continue;
      samples.push({ latencyMs, overheadMs: latencyMs - (heldMs.get(requestId) ?? 0) });
    }
  };
  await Promise.all(Array.from({ length: settings.concurrency }, keepAsking));
  await source.close();
  await bus.close();
  const latencies = samples.map(({ latencyMs }) => latencyMs);
  const overheads = samples.map(({ overheadMs }) => overheadMs);
  return {
    requests: samples.length,
    mean_ms: round(mean(latencies)),
    p50_ms: round(percentile(latencies, 0.5)),
    p95_ms: round(percentile(latencies, 0.95)),
    p99_ms: round(percentile(latencies, 0.99)),
    errors,
    overhead_mean_ms: round(mean(overheads)),
    overhead_p95_ms: round(percentile(overheads, 0.95)),
  };
}

async function publishArtifacts(catalog: Catalog, count: number): Promise<readonly CatalogEntry[]> {
  const entries: CatalogEntry[] = [];
  for (let initSeed = 0; initSeed < count; initSeed++) {
    const artifact = packArtifact({
      blueprint: BLUEPRINT.id,
      parameters: PARAMETERS,
      form: BLUEPRINT.form,
      slotShape: SLOT.shape,
      tensors: initKernel(BLUEPRINT, SLOT.shape, PARAMETERS, initSeed),
      prewarm: { p50Ms: 1, p95Ms: 2, batch: 1, engine: "none" },
      creator: "bench",
      origin: { kind: "built", initSeed },
    });
    entries.push(await catalog.publish(artifact));
  }
  return entries;
}

/** The worker that only waits. @returns how long it held each request, from receipt to answer */
async function answerRequests(
  bus: MessagePort,
  entries: readonly CatalogEntry[],
  { readyLatencyMs, jitterMs }: Settings,
): Promise<ReadonlyMap<string, number>> {
  const heldMs = new Map<string, number>();
  const random = new Random(1);
  let received = 0;
  await bus.subscribe(
    sharedTopic("kernelRequests"),
    "catalog",
    async ({ payload }) => {
      const startMs = performance.now();
      const { requestId, blueprintId } = decodeKernelRequest(payload);
      const entry = entries[received % entries.length];
      if (received++ >= WARM_UP_REQUESTS) {
        const holdMs = readyLatencyMs + (2 * random.uniform() - 1) * jitterMs;
        await new Promise((resolve) => setTimeout(resolve, holdMs));
      }
      if (!entry) return;
      const { ref, sha256 } = entry;
      const answer = { requestId, blueprintId, artifactRef: ref, sha256, fallbackUsed: false };
      heldMs.set(requestId, performance.now() - startMs);
      await bus.publish(
        runTopic("kernelReady", "bench"),
        encodeKernelReady({ ...answer, prewarmP50Ms: 1, prewarmP95Ms: 2 }),
      );
    },
    { maxInFlight: 4096 },
  );
  return heldMs;
}

function round(value: number): number {
  return Number(value.toFixed(3));
}
