/**
 * What the packets of one run come to as series: the last value of each gauge and counter, the observations of each distribution.
 * Taking a packet in costs a few map entries, so that it can happen on the training thread; what Prometheus needs of it is made
 * elsewhere, from what {@link MetricSeries.take} returns.
 */
import { type Clock, systemClock } from "../../base/index.js";
import type { EventName, MetricName, TelemetryMetric, TelemetryPacket } from "../../contracts/index.js";

/** Metrics whose values are observations of a distribution, each reported once. */
export const DISTRIBUTIONS: ReadonlySet<MetricName> = new Set([
  "kasmina.graft.stall_ms",
  "kasmina.rollback.latency_ms",
]);

/** One value of a series. */
export interface SeriesValue {
  readonly name: MetricName;
  /** Left out: of the run. */
  readonly seedId?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** How often an event happened since the last update. */
export interface EventCount {
  readonly name: EventName;
  readonly count: number;
}

/** What has changed since the update before; plain data, which can be posted to another thread. */
export interface SeriesUpdate {
  /** Id of the run. */
  readonly run: string;
  readonly step: number;
  readonly epoch: number;
  /** Milliseconds since 1970-01-01 UTC, of the last packet. */
  readonly atMs: number;
  /** The last value of each gauge and counter that has one. */
  readonly values: readonly SeriesValue[];
  readonly observations: readonly SeriesValue[];
  readonly events: readonly EventCount[];
  /** Seeds whose series end. */
  readonly retired: readonly string[];
}

/** A series while its seed or run lives: what is told of it changes in place, since this happens on the training thread, each step. */
interface LivingSeries {
  readonly told: SeriesValue;
  value: number;
  changed: boolean;
}

interface Changes {
  readonly observations: SeriesValue[];
  readonly events: Map<EventName, number>;
  readonly retired: Set<string>;
}

export class MetricSeries {
  /** By seed (undefined: the run), then by name and labels. */
  readonly #living = new Map<string | undefined, Map<string, LivingSeries>>();
  #changes = noChanges();
  #last = { run: "", step: 0, epoch: 0, atMs: 0 };

  /** Takes in a packet of the run. */
  record(packet: TelemetryPacket): void {
    const { seedId, step, epoch, atMs, events, metrics, retired } = packet;
    this.#last = { run: packet.trainingRunId, step, epoch, atMs };
    const living = this.#livingOf(seedId);
    for (const metric of metrics) {
      const { name, value, labels } = metric;
      const known = living.get(labels ? keyOf(name, labels) : name);
      if (known) {
        known.value = value;
        known.changed = true;
      } else this.#begin(living, seedId, metric);
    }
    const counts = this.#changes.events;
    for (const { name } of events) counts.set(name, (counts.get(name) ?? 0) + 1);
    if (retired && seedId !== undefined) {
      this.#living.delete(seedId);
      this.#changes.retired.add(seedId);
    }
  }

  /** What has changed since it was called last. */
  take(): SeriesUpdate {
    const { observations, events, retired } = this.#changes;
    this.#changes = noChanges();
    const values: SeriesValue[] = [];
    for (const living of this.#living.values())
      for (const series of living.values()) {
        if (series.changed) values.push({ ...series.told, value: series.value });
        series.changed = false;
      }
    return {
      ...this.#last,
      values,
      observations,
      events: [...events].map(([name, count]) => ({ name, count })),
      retired: [...retired],
    };
  }

  #begin(living: Map<string, LivingSeries>, seedId: string | undefined, metric: TelemetryMetric): void {
    const { name, value, labels } = metric;
    const told = { name, value, ...(seedId !== undefined && { seedId }), ...(labels && { labels }) };
    if (DISTRIBUTIONS.has(name)) this.#changes.observations.push(told);
    else living.set(labels ? keyOf(name, labels) : name, { told, value, changed: true });
  }

  #livingOf(seedId: string | undefined): Map<string, LivingSeries> {
    const known = this.#living.get(seedId);
    if (known) return known;
    const living = new Map<string, LivingSeries>();
    this.#living.set(seedId, living);
    return living;
  }
}

/** Who scrapes does so every few seconds. */
const REPORT_EVERY_MS = 1_000;

/** Reports what has changed of a run's series, at most once a second. */
export class SeriesReports {
  readonly #series = new MetricSeries();
  readonly #send: (update: SeriesUpdate) => void;
  readonly #clock: Clock;
  #sentMs = Number.NEGATIVE_INFINITY;

  constructor(send: (update: SeriesUpdate) => void, clock: Clock = systemClock) {
    this.#send = send;
    this.#clock = clock;
  }

  record(packet: TelemetryPacket): void {
    this.#series.record(packet);
    if (this.#clock.monotonicMs() - this.#sentMs >= REPORT_EVERY_MS) this.report();
  }

  /** At once: for the end of a run. */
  report(): void {
    this.#sentMs = this.#clock.monotonicMs();
    this.#send(this.#series.take());
  }
}

function noChanges(): Changes {
  return { observations: [], events: new Map(), retired: new Set() };
}

function keyOf(name: string, labels: Readonly<Record<string, string>>): string {
  let key = name;
  for (const label in labels) key += `\0${label}\0${labels[label]}`;
  return key;
}
