/** Events that wait for their packet, bounded: the least severe, then oldest, goes first; CRITICAL never does. */
import { severityOf, type TelemetryEvent } from "../../contracts/telemetry.js";

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
