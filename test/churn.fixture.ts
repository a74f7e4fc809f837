/** A run in which one seed after another is grafted, trained and culled, by commands, as fast as the gates allow. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { garbageCollector } from "../src/base/garbage-collector.node.js";
import { systemClock } from "../src/base/index.js";
import type { TelemetryMetric } from "../src/contracts/index.js";
import { CommandSigner, type Order, type TelemetryPacket } from "../src/contracts/index.js";
import { makeSpirals } from "../src/data/index.js";
import { openBackend } from "../src/engine/index.js";
import { parseConfig } from "../src/kasmina/index.js";
import { resmlp } from "../src/nn/index.js";
import type * as ProcessTracerModule from "../src/tolaria/tracing/process-tracer.node.js";
import { RunAccess } from "../src/weatherlight/control/run-access.js";
import type { RunCheckpoint } from "../src/weatherlight/grow/run-outcome.js";
import { trainRun } from "../src/weatherlight/grow/train-run.js";
import { KernelService } from "../src/weatherlight/kernels/kernel-service.js";
import { type Alive, CountingBackend } from "./support/counting-backend.js";

const dist = new URL("../dist/", import.meta.url);
const { ProcessTracer } = (await import(
  new URL("tolaria/tracing/process-tracer.node.js", dist).href
)) as typeof ProcessTracerModule;

export const RUN_ID = "churn";
const WIDTH = 8;
const STEPS_PER_EPOCH = 8;
/** Two epochs a seed: one evaluation finds it in TRAINING. */
export const STEPS_PER_SEED = 2 * STEPS_PER_EPOCH;

export const dataset = makeSpirals({ seed: 3, train: 600, test: 100 });
export const BATCH = Math.floor(dataset.train.count / STEPS_PER_EPOCH);
export const host = resmlp({ ...dataset, width: WIDTH });
const config = parseConfig({
  leadSteps: 2,
  embargoMs: 0,
  dormantSeeds: 4,
  kernel: { latencyBudgetMs: 600_000, prefetchDeadlineMs: 900_000, cacheArtifacts: 8 },
  gates: { confidence: 0, minShadowGain: -1_000, divergenceRatio: 1_000 },
});

/** What a run holds at one moment, between two seeds. */
export interface Holdings {
  readonly seeds: number;
  readonly alive: Alive;
  /** Seeds that telemetry has reported and not retired. */
  readonly series: number;
  readonly closedSlots: number;
  readonly journaled: number;
  readonly cached: number;
  readonly inflight: number;
  readonly statePaths: readonly string[];
  readonly rssMiB: number;
  readonly heapMiB: number;
  readonly buffersMiB: number;
}

export interface Churn {
  readonly holdings: readonly Holdings[];
  /** Of every command, by outcome. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Events of level ERROR and CRITICAL. */
  readonly failures: readonly string[];
  readonly checkpoints: readonly RunCheckpoint[];
  /** Held-out loss at the end of the epoch that the checkpoint of the same place begins after. */
  readonly heldOut: readonly number[];
  readonly stages: Readonly<Record<string, number>>;
  readonly compiled: number;
  /** What is alive in the back end once the run is over. */
  readonly left: Alive;
}

/** Grafts `seeds` seeds one after another; every other one is blended in before it is culled. */
export async function churn(engine: "native" | "wasm", seeds: number, lookEvery: number): Promise<Churn> {
  const { backend } = await openBackend(engine, { threads: 1 });
  const folder = mkdtempSync(join(tmpdir(), "kasmina-churn-"));
  try {
    return await churnIn(folder, new CountingBackend(backend), seeds, lookEvery);
  } finally {
    await backend.dispose();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function churnIn(
  folder: string,
  counting: CountingBackend,
  seeds: number,
  lookEvery: number,
): Promise<Churn> {
  const { backend } = counting;
  const gc = garbageCollector();
  const access = new RunAccess({ folder, runId: RUN_ID });
  const kernels = await KernelService.open({
    trainingRunId: RUN_ID,
    seed: 1,
    catalogDir: join(folder, "catalog"),
    backend,
    batch: BATCH,
    config,
  });
  const tracer = backend.name === "native" ? newTracer() : undefined;
  const signer = new CommandSigner({ keys: access.keys, clock: systemClock });
  const outcomes: Record<string, number> = {};
  const stages: Record<string, number> = {};
  const series = new Set<string>();
  const holdings: Holdings[] = [];
  const checkpoints: RunCheckpoint[] = [];
  const heldOut: number[] = [];
  const failures: string[] = [];
  let lastHeldOut = Number.NaN;
  let control: Parameters<NonNullable<Parameters<typeof trainRun>[0]["onControl"]>>[0] | undefined;

  const order = (seed: number, what: Order): void => {
    const draft = {
      commandId: `${what.kind}-${control?.status().step}`,
      trainingRunId: RUN_ID,
      issuedBy: "test",
    };
    const envelope = signer.sign({
      ...draft,
      seedId: `seed-${seed}`,
      slotId: seed % 2 ? "block1" : "block2",
      order: what,
    });
    control?.send(envelope, ({ status, reason }) => {
      const outcome = `${status} ${reason}`.trim();
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    });
  };
  /** By the step within a seed's life after which it is sent. */
  const script = (seed: number): Readonly<Record<number, Order>> => ({
    0: { kind: "SEED", operation: "GERMINATE", blueprintId: seed % 3 ? "mlp-residual" : "low-rank" },
    4: { kind: "SEED", operation: "START_TRAINING" },
    ...(seed % 2 && { 8: { kind: "SEED", operation: "START_BLENDING" } }),
    12: { kind: "SEED", operation: "CULL" },
  });
  const look = async (checkpoint: RunCheckpoint): Promise<void> => {
    checkpoints.push(checkpoint);
    heldOut.push(lastHeldOut);
    gc();
    await new Promise((resolve) => setTimeout(resolve, 5));
    gc();
    const status = control?.status();
    const memory = process.memoryUsage();
    holdings.push({
      seeds: status?.seeds.length ?? Number.NaN,
      alive: counting.alive,
      series: series.size,
      closedSlots:
        status?.slots.filter(({ closedUntilStep }) => closedUntilStep !== undefined).length ?? Number.NaN,
      journaled: access.journal.records.length,
      cached: gaugeOf(kernels.metrics(), "kasmina.cache.size"),
      inflight: gaugeOf(kernels.metrics(), "kasmina.prefetch.inflight"),
      statePaths: Object.keys(checkpoint.tensors).sort(),
      rssMiB: memory.rss / 2 ** 20,
      heapMiB: memory.heapUsed / 2 ** 20,
      buffersMiB: memory.arrayBuffers / 2 ** 20,
    });
  };
  try {
    await trainRun({
      runId: RUN_ID,
      host,
      dataset,
      backend,
      epochs: (seeds * STEPS_PER_SEED) / STEPS_PER_EPOCH,
      batch: BATCH,
      seed: 5,
      config,
      policy: null,
      kernels,
      ...(tracer && { tracer }),
      keys: access.keys,
      journal: access.journal,
      onControl: (opened) => {
        control = opened;
      },
      onLoss: (step) => {
        const seed = Math.floor(step / STEPS_PER_SEED);
        const due = script(seed)[step % STEPS_PER_SEED];
        if (due) order(seed, due);
      },
      onEvent: ({ name, level, attributes }) => {
        if (level === "ERROR" || level === "CRITICAL") failures.push(`${name} ${JSON.stringify(attributes)}`);
        if (name === "seed_stage") stages[String(attributes.to)] = (stages[String(attributes.to)] ?? 0) + 1;
      },
      onEpoch: (report) => {
        lastHeldOut = report.heldOut.loss.value;
      },
      onPacket: (packet) => follow(series, packet),
      onCheckpoint: async (checkpoint) => {
        access.checkpointed(checkpoint.kasmina.journalSequence, { nonceTtlMs: 0, previousKept: true });
        if (checkpoint.step % (lookEvery * STEPS_PER_SEED) === 0) await look(checkpoint);
      },
    });
  } finally {
    await kernels.close();
    await tracer?.close();
    await access.close();
  }
  return {
    holdings,
    outcomes,
    failures,
    checkpoints,
    heldOut,
    stages,
    compiled: backend.stats.compiled,
    left: counting.alive,
  };
}

/** In a process of its own, which runs what is built. */
function newTracer(): InstanceType<typeof ProcessTracer> {
  const module = new URL("nn/index.js", dist).href;
  const { inputShape, inputDType, classes } = dataset;
  return new ProcessTracer({
    host: { module, name: "resmlp", args: [{ inputShape, inputDType, classes, width: WIDTH }] },
    onFallback: (problem) => {
      throw new Error(problem);
    },
  });
}

function follow(series: Set<string>, { seedId, retired }: TelemetryPacket): void {
  if (seedId === undefined) return;
  if (retired) series.delete(seedId);
  else series.add(seedId);
}

function gaugeOf(metrics: readonly TelemetryMetric[], name: string): number {
  return metrics.find((metric) => metric.name === name)?.value ?? Number.NaN;
}
