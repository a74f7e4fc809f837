/**
 * Collects what a run reports and sends exactly one packet a step for each seed, and one for the run
 * (docs/architecture.md, "Telemetry"). CRITICAL events do not wait for it: each goes out at once on the emergency
 * route, in a packet of its own, and is not sent again.
 *
 * Telemetry never reaches into the run: a sink that throws is counted, and the step goes on.
 */
import type { Clock } from "../../base/clock.js";
import type { TelemetryLevel, TelemetryRoute } from "../../contracts/names.js";
import type { TelemetrySink } from "../../contracts/ports.js";
import {
  type Attributes,
  type EventName,
  highestLevel,
  type MetricName,
  priorityOf,
  severityOf,
  type TelemetryEvent,
  type TelemetryMetric,
} from "../../contracts/telemetry.js";

/** Events that wait for their packet, bounded: the least severe, then oldest, goes first; CRITICAL never does. */
export class EventQueue {
  readonly #capacity: number;
  #events: TelemetryEvent[] = [];
  #dropped = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#events.length;
  }

  /** How many were dropped since the last {@link take}. */
  get dropped(): number {
    return this.#dropped;
  }

  add(event: TelemetryEvent): void {
    this.#events.push(event);
    if (this.#events.length > this.#capacity) this.#dropOne();
  }

  /** Everything waiting, oldest first; the queue is empty afterwards. */
  take(): readonly TelemetryEvent[] {
    const events = this.#events;
    this.#events = [];
    this.#dropped = 0;
    return events;
  }

  #dropOne(): void {
    let victim = -1;
    for (const [at, event] of this.#events.entries()) {
      if (event.level === "CRITICAL") continue;
      const best = this.#events[victim];
      if (!best || severityOf(event.level) < severityOf(best.level)) victim = at;
    }
    if (victim < 0) return;
    this.#events.splice(victim, 1);
    this.#dropped++;
  }
}

/** Who an event or a metric is about: a seed's id, or undefined for the run. */
export type Subject = string | undefined;

export interface TelemetryHubOptions {
  readonly trainingRunId: string;
  readonly source: string;
  readonly sink: TelemetrySink;
  readonly clock: Clock;
  /** Events that wait, a subject. */
  readonly pendingEvents: number;
  /**
   * Whether there is such a seed. What is reported of any other (one that is gone, one that was refused) counts for the run, so
   * that no series begins that nobody will end. Default: there is.
   */
  readonly isSeed?: (seedId: string) => boolean;
}

interface Channel {
  readonly events: EventQueue;
  readonly metrics: Map<string, TelemetryMetric>;
}

export class TelemetryHub {
  readonly #options: TelemetryHubOptions;
  readonly #channels = new Map<Subject, Channel>();
  readonly #counters = new Map<string, TelemetryMetric>();
  readonly #retired = new Set<string>();
  #step = 0;
  #epoch = 0;
  #sinkFailures = 0;

  constructor(options: TelemetryHubOptions) {
    this.#options = options;
  }

  /** How often the sink threw. */
  get sinkFailures(): number {
    return this.#sinkFailures;
  }

  /** Says when the following events happen. */
  at(step: number, epoch: number): void {
    this.#step = step;
    this.#epoch = epoch;
  }

  event(about: Subject, name: EventName, level: TelemetryLevel, attributes: Attributes = {}): void {
    const subject = this.#known(about);
    const event: TelemetryEvent = { name, level, atMs: this.#options.clock.nowMs(), attributes };
    if (level === "CRITICAL") this.#send(subject, "emergency", [event], [], false);
    else this.#channel(subject).events.add(event);
  }

  /** Sets a gauge for the next packet; the last value of a step counts. */
  gauge(about: Subject, name: MetricName, value: number, labels?: Readonly<Record<string, string>>): void {
    const subject = this.#known(about);
    const metric = labels ? { name, value, labels } : { name, value };
    this.#channel(subject).metrics.set(keyOf(name, labels), metric);
  }

  /** Adds to a duration of the run for the next packet: the sum over a step counts. */
  addDuration(name: MetricName, ms: number): void {
    const before = this.#channel(undefined).metrics.get(name)?.value ?? 0;
    this.gauge(undefined, name, before + ms);
  }

  /** Adds to a counter of the run; its packets carry the total. */
  count(name: MetricName, labels?: Readonly<Record<string, string>>, by = 1): void {
    const key = keyOf(name, labels);
    const counter = this.#counters.get(key);
    const value = (counter?.value ?? 0) + by;
    const metric = labels ? { name, value, labels } : { name, value };
    this.#counters.set(key, metric);
    this.#channel(undefined).metrics.set(key, metric);
  }

  /** The total of a counter; 0 where it never counted. */
  total(name: MetricName, labels?: Readonly<Record<string, string>>): number {
    return this.#counters.get(keyOf(name, labels))?.value ?? 0;
  }

  /** The seed's next packet is its last. */
  retire(seedId: string): void {
    this.#channel(seedId);
    this.#retired.add(seedId);
  }

  /** Sends what still waits, the run's packet last: it says that the run ends. */
  end(): void {
    const seeds = this.#reporting();
    for (const id of seeds) this.#countDropped(id);
    for (const id of seeds) this.#flushSubject(id);
    this.#flushSubject(undefined, true);
  }

  /** Sends the step's packets: the run's, then one for each of `seedIds` and each seed with something to report. */
  flush(seedIds: readonly string[] = []): void {
    const subjects = [...seedIds, ...this.#reporting().filter((id) => !seedIds.includes(id))];
    for (const id of subjects) this.#countDropped(id);
    this.#flushSubject(undefined);
    for (const id of subjects) this.#flushSubject(id);
  }

  /** Seeds with something to report. */
  #reporting(): string[] {
    return [...this.#channels.keys()].filter((subject) => subject !== undefined);
  }

  #countDropped(seedId: string): void {
    const dropped = this.#channels.get(seedId)?.events.dropped ?? 0;
    if (dropped > 0) this.event(undefined, "queue_dropped", "WARNING", { seed_id: seedId, dropped });
  }

  #flushSubject(subject: Subject, ends = subject !== undefined && this.#retired.delete(subject)): void {
    const channel = this.#channels.get(subject);
    const dropped = channel?.events.dropped ?? 0;
    const waiting = channel?.events.take() ?? [];
    const own =
      subject === undefined && dropped > 0
        ? [...waiting, this.#eventNow("queue_dropped", "WARNING", { dropped })]
        : waiting;
    const metrics = [...(channel?.metrics.values() ?? [])];
    this.#channels.delete(subject);
    this.#send(subject, "normal", own, metrics, ends);
  }

  #eventNow(name: EventName, level: TelemetryLevel, attributes: Attributes): TelemetryEvent {
    return { name, level, atMs: this.#options.clock.nowMs(), attributes };
  }

  #send(
    subject: Subject,
    route: TelemetryRoute,
    events: readonly TelemetryEvent[],
    metrics: readonly TelemetryMetric[],
    retired: boolean,
  ): void {
    const { trainingRunId, source, sink, clock } = this.#options;
    const level = highestLevel(events);
    const position = { step: this.#step, epoch: this.#epoch, atMs: clock.nowMs() };
    const about = subject === undefined ? {} : { seedId: subject };
    const content = { level, priority: priorityOf(level), route, events, metrics, retired };
    try {
      sink.emit({ trainingRunId, source, ...about, ...position, ...content });
    } catch {
      this.#sinkFailures++;
    }
  }

  /** A seed that is gone gets packets until its queue is empty. */
  #known(subject: Subject): Subject {
    const { isSeed } = this.#options;
    const known = subject === undefined || this.#channels.has(subject) || !isSeed || isSeed(subject);
    return known ? subject : undefined;
  }

  #channel(subject: Subject): Channel {
    const found = this.#channels.get(subject);
    if (found) return found;
    const channel = { events: new EventQueue(this.#options.pendingEvents), metrics: new Map() };
    this.#channels.set(subject, channel);
    return channel;
  }
}

function keyOf(name: MetricName, labels?: Readonly<Record<string, string>>): string {
  if (!labels) return name;
  let key = name;
  for (const label of Object.keys(labels).sort()) key += `|${label}=${labels[label]}`;
  return key;
}
