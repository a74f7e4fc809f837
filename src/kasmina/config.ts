/** The one configuration object: every limit, typed, validated, with its default. */
import { z } from "zod";
import { KasminaError } from "../base/errors.js";

const count = z.int().min(1);
const ms = z.number().min(0).max(Number.MAX_SAFE_INTEGER);
const fraction = z.number().min(0).max(1);
const KIBI = 1024;

const breaker = (failures: number, windowMs: number) =>
  z
    .strictObject({
      /** Failures within the window that open it. */
      failures: count.default(failures),
      windowMs: ms.default(windowMs),
      /** How long it stays open before one trial is let through. */
      cooldownMs: ms.default(windowMs),
    })
    .prefault({});

const bounds = (min: number, max: number) => z.tuple([z.number(), z.number()]).default([min, max]);

const schema = z
  .strictObject({
    command: z
      .strictObject({
        /** A command older than this is stale. */
        freshnessWindowMs: ms.default(60_000),
        /** A command from further ahead than this is refused. */
        futureSkewMs: ms.default(5_000),
        /** Largest envelope. */
        maxBytes: count.default(64 * KIBI),
        /** Longest command id, in UTF-8 bytes. */
        maxIdBytes: count.default(128),
      })
      .prefault({}),
    nonceLedger: z
      .strictObject({
        ttlMs: ms.default(300_000),
        capacity: count.default(10_000),
        /** How often expired nonces are dropped. */
        cleanupMs: count.default(30_000),
      })
      .prefault({}),
    kernel: z
      .strictObject({
        latencyBudgetMs: ms.default(10),
        /** Largest share of a training step's FLOPs that a seed may take, 0 to 1. Default: no limit. */
        stepShareBudget: fraction.optional(),
        /** Default: max(2 × latency budget, 1,000 ms). */
        prefetchDeadlineMs: ms.optional(),
        cacheArtifacts: count.default(32),
        lockContentionMs: ms.default(100),
      })
      .prefault({}),
    embargoMs: ms.default(30_000),
    /**
     * What one step counts as when a limit in milliseconds governs training itself (embargo, breakers). Steps
     * are the only clock that runs the same on every machine, and arithmetic never depends on timing.
     */
    stepMs: z.number().min(0.001).default(10),
    /** Steps between the acceptance of a change of topology and its effect. */
    leadSteps: z.int().min(0).default(20),
    blend: z
      .strictObject({
        maxVector: count.default(64),
        maxLogits: z.int().min(2).default(256),
      })
      .prefault({}),
    breakers: z.strictObject({ fetch: breaker(3, 60_000), isolation: breaker(3, 30_000) }).prefault({}),
    isolation: z
      .strictObject({
        everySteps: count.default(50),
        failFast: z.boolean().default(false),
        maxLeakRatio: ms.default(1e-6),
        maxCosine: fraction.default(0.01),
        /** Below this leak ratio a cosine says nothing. */
        negligibleLeakRatio: ms.default(1e-9),
        sampleCoordinates: count.default(4_096),
      })
      .prefault({}),
    gates: z
      .strictObject({
        /** Steps and evaluations that a gate looks back on. */
        windowSteps: z.int().min(4).default(64),
        /** G1: a gradient norm at or under this is silent. */
        silentGradientNorm: ms.default(1e-12),
        /** G2: mean loss of the window's last quarter over the first quarter's. */
        divergenceRatio: z.number().min(1).default(2),
        /** G2: the shadow gain, less `confidence` standard errors, must be above this. */
        minShadowGain: z.number().default(0),
        /** G4: the contribution, less `confidence` standard errors, must be above this. */
        minContribution: z.number().default(0),
        confidence: z.number().min(0).default(1),
      })
      .prefault({}),
    optimizer: z
      .strictObject({
        learningRate: bounds(0, 10),
        momentum: bounds(0, 0.9999),
        weightDecay: bounds(0, 1),
      })
      .prefault({}),
    teacher: z.strictObject({ memoryBudgetBytes: count.default(7 * KIBI ** 3) }).prefault({}),
    /** Dormant seeds remembered before the oldest is terminated. */
    dormantSeeds: count.default(256),
    telemetry: z.strictObject({ pendingEvents: count.default(64) }).prefault({}),
    worker: z
      .strictObject({
        concurrency: count.default(8),
        queue: count.default(1_024),
        shutdownMs: ms.default(5_000),
      })
      .prefault({}),
  })
  .refine((c) => c.nonceLedger.ttlMs >= c.command.freshnessWindowMs + c.command.futureSkewMs, {
    path: ["nonceLedger", "ttlMs"],
    message: "must be at least the freshness window plus the future skew, or replays would be accepted",
  })
  .transform((c) => ({
    ...c,
    kernel: {
      ...c.kernel,
      prefetchDeadlineMs: c.kernel.prefetchDeadlineMs ?? Math.max(2 * c.kernel.latencyBudgetMs, 1_000),
    },
  }));

/** What a caller may give: any part of it. */
export type KasminaConfigInput = z.input<typeof schema>;
/** Complete and checked. */
export type KasminaConfig = z.output<typeof schema>;

/**
 * The complete configuration: defaults for what is left out.
 * @throws KasminaError `invalid_argument` naming the first key that is unknown or out of range
 */
export function parseConfig(input: KasminaConfigInput = {}): KasminaConfig {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const where = ["config", ...(issue?.path ?? [])].join(".");
  throw new KasminaError("invalid_argument", `${where}: ${issue?.message ?? "is not valid"}`, {
    cause: result.error,
  });
}

/** A limit in milliseconds as whole steps, at least 1 unless it is 0. */
export function stepsOf(config: KasminaConfig, durationMs: number): number {
  return Math.ceil(durationMs / config.stepMs);
}
