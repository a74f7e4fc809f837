/**
 * What the packets of one run come to as series: the last value of each gauge and counter, the observations of each distribution.
 * Taking a packet in costs a few map entries, so that it can happen on the training thread; what Prometheus needs of it is made
 * elsewhere, from what {@link MetricSeries.take} returns.
 */
import { type Clock, systemClock } from "../../base/index.js";
import type { EventName, MetricName, TelemetryPacket } from "../../contracts/index.js";

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

interface Changes {
  readonly values: Map<string, SeriesValue>;
  readonly observations: SeriesValue[];
  readonly events: Map<EventName, number>;
  readonly retired: Set<string>;
}

export class MetricSeries {
  #changes = noChanges();
  #last = { run: "", step: 0, epoch: 0, atMs: 0 };

  /** Takes in a packet of the run. */
  record(packet: TelemetryPacket): void {
    const { seedId, step, epoch, atMs, events, metrics, retired } = packet;
    this.#last = { run: packet.trainingRunId, step, epoch, atMs };
    const { values, observations, retired: ended } = this.#changes;
    for (const { name, value, labels } of metrics) {
      const series = { name, value, ...(seedId !== undefined && { seedId }), ...(labels && { labels }) };
      if (DISTRIBUTIONS.has(name)) observations.push(series);
      else values.set(keyOf(series), series);
    }
    const counts = this.#changes.events;
    for (const { name } of events) counts.set(name, (counts.get(name) ?? 0) + 1);
    if (retired && seedId !== undefined) {
      for (const [key, { seedId: owner }] of values) if (owner === seedId) values.delete(key);
      ended.add(seedId);
    }
  }

  /** What has changed since it was called last. */
  take(): SeriesUpdate {
    const { values, observations, events, retired } = this.#changes;
    this.#changes = noChanges();
    return {
      ...this.#last,
      values: [...values.values()],
      observations,
      events: [...events].map(([name, count]) => ({ name, count })),
      retired: [...retired],
    };
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
  return { values: new Map(), observations: [], events: new Map(), retired: new Set() };
}

function keyOf({ name, seedId, labels }: SeriesValue): string {
  if (seedId === undefined && !labels) return name;
  return labels ? `${name} ${seedId ?? ""} ${JSON.stringify(labels)}` : `${name} ${seedId}`;
}
