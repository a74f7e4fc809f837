/**
 * Rejected commands, reported without a flood: the first of a reason at once, then one event a second and reason, whose `count` says how
 * many it stands for. The counters count every one as it comes.
 */
import type { Clock } from "../../base/clock.js";
import type { RejectionReason } from "../security/verifier.js";
import type { TelemetryHub } from "./hub.js";

const EVERY_MS = 1_000;

/** The latest rejection of a reason that is still to be reported, and those before it. */
interface Waiting {
  readonly commandId: string;
  readonly busEntry: string;
  readonly count: number;
}

export class Rejections {
  readonly #telemetry: TelemetryHub;
  readonly #clock: Clock;
  readonly #toldMs = new Map<RejectionReason, number>();
  readonly #waiting = new Map<RejectionReason, Waiting>();

  constructor(telemetry: TelemetryHub, clock: Clock) {
    this.#telemetry = telemetry;
    this.#clock = clock;
  }

  add(reason: RejectionReason, commandId: string, busEntry: string): void {
    this.#telemetry.count("kasmina.command_verifier.rejections_total", { reason });
    const count = (this.#waiting.get(reason)?.count ?? 0) + 1;
    this.#waiting.set(reason, { commandId, busEntry, count });
    if (this.#isDue(reason)) this.#report(reason);
  }

  /** Reports what waits and is due, at every step; at the end of a run of everything. */
  flush(all = false): void {
    for (const reason of [...this.#waiting.keys()]) if (all || this.#isDue(reason)) this.#report(reason);
  }

  #isDue(reason: RejectionReason): boolean {
    const toldMs = this.#toldMs.get(reason);
    return toldMs === undefined || this.#clock.monotonicMs() - toldMs >= EVERY_MS;
  }

  #report(reason: RejectionReason): void {
    const { commandId = "", busEntry = "", count = 0 } = this.#waiting.get(reason) ?? {};
    this.#waiting.delete(reason);
    this.#toldMs.set(reason, this.#clock.monotonicMs());
    const about = { command_id: commandId.slice(0, 128), bus_entry: busEntry, count };
    this.#telemetry.event(undefined, "command_rejected", "CRITICAL", { reason, ...about });
  }
}
