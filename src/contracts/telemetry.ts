/** What the parts report (docs/architecture.md, "Telemetry"), as plain data that can be posted to another thread. */
import type { Priority, TelemetryLevel, TelemetryRoute } from "./names.js";

/** Every event name. */
export const EVENT_NAMES = [
  "seed_operation",
  "seed_stage",
  "gate_event",
  "gate_failure",
  "blend_config",
  "command_rejected",
  "command_duplicate",
  "nonce_ledger_truncated",
  "prefetch_requested",
  "prefetch_ready",
  "prefetch_error",
  "prefetch_timeout",
  "prefetch_canceled",
  "cache_lock_contention",
  "violation_recorded",
  "isolation_breaker",
  "isolation_unproven",
  "breaker_event",
  "seed_paused",
  "seed_resumed",
  "registry_reset",
  "teacher_registered",
  "teacher_deregistered",
  "rollback_ready",
  "rollback_restored",
  "emergency",
  "degraded_inputs",
  "optimizer_adjusted",
  "queue_dropped",
  "dependency_violation",
] as const;
export type EventName = (typeof EVENT_NAMES)[number];

/** Every metric; a name that is not here cannot be written or read. */
export const METRIC_NAMES = [
  "kasmina.seeds.active",
  "kasmina.seed.stage",
  "kasmina.seed.alpha",
  "kasmina.seed.alpha_steps",
  "kasmina.seed.kernel_attached",
  "kasmina.seed.kernel_latency_ms",
  "kasmina.seed.step_share",
  "kasmina.seed.isolation_violations",
  "kasmina.seed.gradient_norm",
  "kasmina.seed.shadow_gain",
  "kasmina.seed.contribution",
  "kasmina.seed.isolation.cosine",
  "kasmina.seed.isolation.leak_ratio",
  "kasmina.blend.alpha_mean",
  "kasmina.blend.alpha_p95",
  "kasmina.blend.alpha_sparsity",
  "kasmina.blend.gate_mean",
  "kasmina.blend.gate_min",
  "kasmina.blend.gate_max",
  "kasmina.blend.clamped_fraction",
  "kasmina.gate.failures_total",
  "kasmina.command_verifier.accepted_total",
  "kasmina.command_verifier.rejections_total",
  "kasmina.command_verifier.validation_latency_ms",
  "kasmina.nonce_ledger.size",
  "kasmina.nonce_ledger.evictions_total",
  "kasmina.nonce_ledger.ttl_seconds",
  "kasmina.prefetch.requests_total",
  "kasmina.prefetch.inflight",
  "kasmina.prefetch.latency_ms",
  "kasmina.cache.size",
  "kasmina.cache.capacity",
  "kasmina.cache.hits_total",
  "kasmina.cache.misses_total",
  "kasmina.cache.evictions_total",
  "kasmina.cache.lock_wait_ms",
  "kasmina.prewarm.latency_ms",
  "kasmina.graft.stall_ms",
  "kasmina.rollback.latency_ms",
  "kasmina.breaker.state",
] as const;
export type MetricName = (typeof METRIC_NAMES)[number];

export type AttributeValue = string | number | boolean;
/** For people and dashboards; no code acts on them. */
export type Attributes = Readonly<Record<string, AttributeValue>>;

export interface TelemetryEvent {
  readonly name: EventName;
  readonly level: TelemetryLevel;
  /** Milliseconds since 1970-01-01 UTC. */
  readonly atMs: number;
  readonly attributes: Attributes;
}

export interface TelemetryMetric {
  readonly name: MetricName;
  readonly value: number;
  /** In addition to the packet's run and seed. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** What one seed, or the run, has to say about one step. */
export interface TelemetryPacket {
  readonly trainingRunId: string;
  /** The part that speaks: kasmina, tolaria, tamiyo, oona. */
  readonly source: string;
  /** Left out: the run itself. */
  readonly seedId?: string;
  readonly step: number;
  readonly epoch: number;
  readonly atMs: number;
  /** Of the most severe event; INFO where there is none. */
  readonly level: TelemetryLevel;
  readonly priority: Priority;
  readonly route: TelemetryRoute;
  readonly events: readonly TelemetryEvent[];
  readonly metrics: readonly TelemetryMetric[];
  /** The last packet of this seed, or of a run that ended in order where it names no seed: its series end here. */
  readonly retired: boolean;
}

/** From the least severe to the most severe. */
export const LEVELS = ["INFO", "WARNING", "ERROR", "CRITICAL"] as const satisfies readonly TelemetryLevel[];

const SEVERITY: { readonly [L in TelemetryLevel]: number } = { INFO: 0, WARNING: 1, ERROR: 2, CRITICAL: 3 };
const PRIORITY_OF: { readonly [L in TelemetryLevel]: Priority } = {
  INFO: "LOW",
  WARNING: "NORMAL",
  ERROR: "HIGH",
  CRITICAL: "CRITICAL",
};

/** Greater is more severe. */
export function severityOf(level: TelemetryLevel): number {
  return SEVERITY[level];
}

export function priorityOf(level: TelemetryLevel): Priority {
  return PRIORITY_OF[level];
}

/** The level of the most severe event; INFO where there is none. */
export function highestLevel(events: readonly TelemetryEvent[]): TelemetryLevel {
  return events.reduce<TelemetryLevel>(
    (highest, event) => (SEVERITY[event.level] > SEVERITY[highest] ? event.level : highest),
    "INFO",
  );
}
