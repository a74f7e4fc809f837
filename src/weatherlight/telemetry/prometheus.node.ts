/**
 * Series of runs as Prometheus reads them (docs/observability.md). Names follow from those of the metrics by OpenTelemetry's rules, in
 * base units: `kasmina.graft.stall_ms` is `kasmina_graft_stall_seconds`. A seed's series end with the seed, a run's with the run.
 */
import { Counter, Gauge, Histogram, type Metric, Registry } from "prom-client";
import {
  EVENT_NAMES,
  METRIC_NAMES,
  type MetricName,
  type Score,
  type ScoreName,
} from "../../contracts/index.js";
import { REJECTION_REASONS } from "../../kasmina/index.js";
import type { Answer } from "./http-server.node.js";
import { DISTRIBUTIONS, type SeriesUpdate, type SeriesValue } from "./metric-series.js";

/** Of each metric, and the labels that it has besides `run` and `seed`. */
interface MetricHelp {
  readonly help: string;
  readonly labels?: readonly string[];
}

const HELP: { readonly [N in MetricName]: MetricHelp } = {
  "kasmina.seeds.active": { help: "Living seeds" },
  "kasmina.seed.stage": { help: "Stage of the seed, as the number of its enumeration in lifecycle.proto" },
  "kasmina.seed.alpha": { help: "Strength of the seed in the output, 0 to 1" },
  "kasmina.seed.alpha_steps": { help: "Steps of the alpha ramp that are done" },
  "kasmina.seed.kernel_attached": { help: "1 where the seed has its kernel" },
  "kasmina.seed.kernel_latency_ms": {
    help: "95th percentile of the time of the seed's kernel, measured once",
  },
  "kasmina.seed.step_share": { help: "Share of the step's FLOPs that the seed takes, 0 to 1" },
  "kasmina.seed.isolation_violations": { help: "Times that the seed was found to disturb its host" },
  "kasmina.seed.gradient_norm": { help: "Norm of the seed's gradient" },
  "kasmina.seed.shadow_gain": {
    help: "Held-out loss of the host less that with the seed in TRAINING, in nats",
  },
  "kasmina.seed.contribution": { help: "Held-out loss without the seed less that with it, in nats" },
  "kasmina.seed.isolation.cosine": { help: "Cosine between the gradients of host and seed, of what leaks" },
  "kasmina.seed.isolation.leak_ratio": { help: "What a seed adds to its host's gradient, relative to it" },
  "kasmina.blend.alpha_mean": { help: "Mean of the blend weights", labels: ["mode", "source"] },
  "kasmina.blend.alpha_p95": { help: "95th percentile of the blend weights", labels: ["mode", "source"] },
  "kasmina.blend.alpha_sparsity": {
    help: "Share of blend weights that are near 0",
    labels: ["mode", "source"],
  },
  "kasmina.blend.gate_mean": {
    help: "Mean of the confidence gate over the last batch",
    labels: ["mode", "source"],
  },
  "kasmina.blend.gate_min": {
    help: "Least of the confidence gate over the last batch",
    labels: ["mode", "source"],
  },
  "kasmina.blend.gate_max": {
    help: "Greatest of the confidence gate over the last batch",
    labels: ["mode", "source"],
  },
  "kasmina.blend.clamped_fraction": {
    help: "Share of blend weights that were clamped into 0 to 1",
    labels: ["mode"],
  },
  "kasmina.gate.failures_total": { help: "Seeds that did not pass a gate", labels: ["gate", "reason"] },
  "kasmina.command_verifier.accepted_total": { help: "Commands that were accepted" },
  "kasmina.command_verifier.rejections_total": { help: "Envelopes that were refused", labels: ["reason"] },
  "kasmina.command_verifier.validation_latency_ms": { help: "Time of the last check of a signature" },
  "kasmina.nonce_ledger.size": { help: "Nonces that are remembered" },
  "kasmina.nonce_ledger.evictions_total": { help: "Nonces that were forgotten since they were too many" },
  "kasmina.nonce_ledger.ttl_seconds": { help: "How long a nonce is remembered" },
  "kasmina.prefetch.requests_total": { help: "Requests for kernels that have ended", labels: ["status"] },
  "kasmina.prefetch.inflight": { help: "Requests for kernels in flight" },
  "kasmina.prefetch.latency_ms": { help: "Time of the last request that got its kernel" },
  "kasmina.cache.size": { help: "Kernels in the cache" },
  "kasmina.cache.capacity": { help: "Kernels that fit into the cache" },
  "kasmina.cache.hits_total": { help: "Kernels that were in the cache" },
  "kasmina.cache.misses_total": { help: "Kernels that were not in the cache" },
  "kasmina.cache.evictions_total": { help: "Kernels that had to make room" },
  "kasmina.cache.lock_wait_ms": { help: "Longest wait for a lock of the cache so far" },
  "kasmina.prewarm.latency_ms": { help: "Time of the last kernel that was run to warm it up" },
  "kasmina.graft.stall_ms": { help: "Time that training stood still at a graft" },
  "kasmina.rollback.latency_ms": { help: "Time that a rollback took" },
  "kasmina.breaker.state": { help: "0 closed, 1 half open, 2 open", labels: ["breaker"] },
};

/** 1 ms to 10 s. */
const SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];
const PER_RUN = ["run"] as const;

/** `kasmina.graft.stall_ms` is `kasmina_graft_stall_seconds`. */
export function prometheusName(name: string): string {
  return name.replaceAll(".", "_").replace(/_ms$/, "_seconds");
}

/** The series of all runs that it is shown. */
export class PrometheusExporter {
  readonly #registry = new Registry();
  readonly #metrics = new Map<MetricName, Gauge | Counter | Histogram>();
  /** Label sets of each seed, by run and seed: what to remove when it ends. */
  readonly #ofSeed = new Map<string, Map<string, readonly [Gauge, Readonly<Record<string, string>>]>>();
  /** Last totals, by series: a counter of the library can only be added to. */
  readonly #totals = new Map<string, number>();
  readonly #runs = new Set<string>();
  readonly #events: Counter;
  readonly #steps: Gauge;
  readonly #epochs: Gauge;
  readonly #lastPacket: Gauge;
  readonly #loss: Gauge;
  readonly #heldOutLoss: Gauge;
  readonly #heldOutScores: { readonly [S in ScoreName]: Gauge };

  constructor() {
    for (const name of METRIC_NAMES) this.#metrics.set(name, this.#define(name));
    this.#events = new Counter({
      name: "kasmina_events_total",
      help: "Telemetry events by name",
      labelNames: [...PER_RUN, "name"],
      registers: [this.#registry],
    });
    this.#steps = this.#gauge("kasmina_run_steps", "Steps that the run has done");
    this.#epochs = this.#gauge("kasmina_run_epochs", "Epochs that the run has begun");
    this.#lastPacket = this.#gauge(
      "kasmina_run_last_packet_timestamp_seconds",
      "When the run reported last, in seconds since 1970-01-01 UTC",
    );
    this.#loss = this.#gauge("tolaria_training_loss", "Loss of the last step that was reported");
    this.#heldOutLoss = this.#gauge("tolaria_held_out_loss", "Loss on the held-out rows, once an epoch");
    this.#heldOutScores = {
      accuracy: this.#gauge("tolaria_held_out_accuracy", "Accuracy on the held-out rows, 0 to 1"),
      r2: this.#gauge("tolaria_held_out_r2", "R² of a regression on the held-out rows, 1 at best"),
      micro_f1: this.#gauge("tolaria_held_out_micro_f1", "F1 of all labels on the held-out rows, 0 to 1"),
    };
  }

  /** Takes in what has changed in a run. */
  apply({ run, step, epoch, atMs, values, observations, events, retired }: SeriesUpdate): void {
    this.#begin(run);
    this.#steps.set({ run }, step);
    this.#epochs.set({ run }, epoch);
    this.#lastPacket.set({ run }, atMs / 1_000);
    for (const value of values) this.#set(run, value);
    for (const { name, value } of observations)
      (this.#metrics.get(name) as Histogram | undefined)?.observe({ run }, inBaseUnits(name, value));
    for (const { name, count } of events) this.#events.inc({ run, name }, count);
    for (const seed of retired) this.#endSeed(run, seed);
  }

  /** Takes in the loss of a step, or what an epoch came to. */
  progress(run: string, { loss, heldOutLoss, score }: Progress): void {
    if (loss !== undefined) this.#loss.set({ run }, loss);
    if (heldOutLoss !== undefined) this.#heldOutLoss.set({ run }, heldOutLoss);
    if (score) this.#heldOutScores[score.name].set({ run }, score.value);
  }

  /** All series of a run end. */
  async end(run: string): Promise<void> {
    await this.silence(run);
    this.#lastPacket.remove({ run });
  }

  /** All series of a run end, but for when it reported last. */
  async silence(run: string): Promise<void> {
    this.#runs.delete(run);
    for (const key of this.#ofSeed.keys()) if (runOf(key) === run) this.#ofSeed.delete(key);
    for (const key of this.#totals.keys()) if (runOf(key) === run) this.#totals.delete(key);
    for (const metric of this.#registry.getMetricsAsArray() as unknown as Metric[]) {
      if (metric === this.#lastPacket) continue;
      const { values } = await (metric as Gauge).get();
      for (const { labels } of values) if (labels.run === run) metric.remove(withoutBucket(labels));
    }
  }

  /** In Prometheus' text format. */
  async render(): Promise<Answer> {
    return { type: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  /** What counts begins at 0: a series that appears with its first count, or with many at once, would not be seen to rise. */
  #begin(run: string): void {
    if (this.#runs.has(run)) return;
    this.#runs.add(run);
    for (const name of EVENT_NAMES) this.#events.inc({ run, name }, 0);
    const rejections = this.#metrics.get("kasmina.command_verifier.rejections_total") as Counter;
    for (const reason of REJECTION_REASONS) rejections.inc({ run, reason }, 0);
    for (const name of DISTRIBUTIONS) (this.#metrics.get(name) as Histogram).zero({ run });
  }

  #define(name: MetricName): Gauge | Counter | Histogram {
    const { help, labels = [] } = HELP[name];
    const common = { name: prometheusName(name), help, registers: [this.#registry] };
    if (DISTRIBUTIONS.has(name)) return new Histogram({ ...common, labelNames: PER_RUN, buckets: SECONDS });
    if (name.endsWith("_total")) return new Counter({ ...common, labelNames: [...PER_RUN, ...labels] });
    const perSeed = isOfSeeds(name) ? ["seed"] : [];
    return new Gauge({ ...common, labelNames: [...PER_RUN, ...perSeed, ...labels] });
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name, help, labelNames: PER_RUN, registers: [this.#registry] });
  }

  #set(run: string, { name, seedId, labels, value }: SeriesValue): void {
    const metric = this.#metrics.get(name);
    if (metric instanceof Gauge) {
      const all = { run, ...(isOfSeeds(name) && { seed: seedId ?? "" }), ...labelsOf(name, labels) };
      metric.set(all, inBaseUnits(name, value));
      if (seedId !== undefined && isOfSeeds(name)) this.#remember(run, seedId, metric, name, all);
    } else if (metric instanceof Counter) {
      this.#raise(metric, name, { run, ...labelsOf(name, labels) }, value);
    }
  }

  #remember(
    run: string,
    seed: string,
    gauge: Gauge,
    name: string,
    labels: Readonly<Record<string, string>>,
  ): void {
    const key = keyOf(run, seed);
    const series = this.#ofSeed.get(key) ?? new Map();
    series.set(`${name} ${JSON.stringify(labels)}`, [gauge, labels]);
    this.#ofSeed.set(key, series);
  }

  #endSeed(run: string, seed: string): void {
    const key = keyOf(run, seed);
    for (const [gauge, labels] of this.#ofSeed.get(key)?.values() ?? []) gauge.remove(labels);
    this.#ofSeed.delete(key);
  }

  /** A total that has fallen is of a run that went back or began again: it counts from there. */
  #raise(counter: Counter, name: string, labels: Readonly<Record<string, string>>, total: number): void {
    const key = keyOf(labels.run ?? "", `${name} ${JSON.stringify(labels)}`);
    const before = this.#totals.get(key) ?? 0;
    counter.inc(labels, Math.max(0, total - before));
    this.#totals.set(key, total);
  }
}

export interface Progress {
  readonly loss?: number;
  readonly heldOutLoss?: number;
  readonly score?: Score | undefined;
}

function isOfSeeds(name: MetricName): boolean {
  return name.startsWith("kasmina.seed.") || name.startsWith("kasmina.blend.");
}

/** The labels that the metric has, whatever else a packet says; one that is not said is empty. */
function labelsOf(name: MetricName, said: Readonly<Record<string, string>> = {}) {
  return Object.fromEntries((HELP[name].labels ?? []).map((label) => [label, said[label] ?? ""]));
}

function inBaseUnits(name: string, value: number): number {
  return name.endsWith("_ms") ? value / 1_000 : value;
}

/** Neither holds a NUL: ids of runs and seeds are checked where they come in. */
function keyOf(run: string, rest: string): string {
  return `${run}\0${rest}`;
}

function runOf(key: string): string {
  return key.slice(0, key.indexOf("\0"));
}

/** Of a histogram's series, which are removed together. */
function withoutBucket({ le: _, ...labels }: Partial<Record<string, string | number>>) {
  return labels;
}
