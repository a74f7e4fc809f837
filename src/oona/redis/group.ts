/**
 * This process's half of one group of one topic: hands messages to its subscribers, acknowledges, delivers again, and takes
 * over what other processes left. What it has in hand is held here until Redis has confirmed what became of it.
 */
import { type Clock, KasminaError, messageOf, type Timer } from "../../base/index.js";
import type { MessageHandler, MessageLane } from "../../contracts/index.js";
import { type BusLimits, LANES } from "../bus.js";
import { type Subscriber, Subscribers } from "../subscribers.js";
import type { RedisConnection, Script } from "./connection.js";
import type { Keys } from "./keys.js";
import { ACKNOWLEDGE, ADOPT, BURY, JOIN, LEAVE, OWN_PENDING, REDELIVER, RELEASE, TIDY } from "./scripts.js";
import type { LostMessages } from "./sender.js";

/** Messages taken over in one go, at most. */
const MAX_ADOPTED = 16;
/** Between two looks for messages that nobody looks after. */
const LONGEST_SWEEP_MS = 5_000;
/** Beyond all that a consumer that is alive may take. */
const ORPHAN_MARGIN_MS = 1_000;
const MAX_REASON = 500;

/** A message as Redis gives it. */
export interface Given {
  readonly entryId: string;
  readonly payload: Uint8Array;
  readonly delivery: number;
}

interface Held {
  readonly lane: MessageLane;
  readonly entryId: string;
  readonly payload: Uint8Array;
  delivery: number;
  /** What Redis has yet to be sent. */
  next: "acknowledge" | "redeliver" | "bury" | undefined;
  reason: string;
  /** Running while it waits for redelivery. */
  pause: Timer | undefined;
}

export interface GroupOptions {
  readonly topic: string;
  readonly name: string;
  readonly consumer: string;
  readonly connection: () => RedisConnection;
  readonly keys: Keys;
  readonly limits: BusLimits;
  readonly clock: Clock;
  readonly onLost: (lost: LostMessages) => void;
  /** There is room for more on a lane, or none any more. */
  readonly onRoom: () => void;
  readonly onProblem: (problem: string) => void;
}

export class RedisGroup {
  readonly #options: GroupOptions;
  readonly #subscribers = new Subscribers();
  readonly #held = new Map<string, Held>();
  /** Taken from Redis, without a subscriber yet. */
  readonly #waiting: Readonly<Record<MessageLane, Set<Held>>> = { emergency: new Set(), normal: new Set() };
  readonly #hadRoom: Record<MessageLane, boolean> = { emergency: false, normal: false };
  readonly #cursors: Record<MessageLane, string> = { emergency: "0-0", normal: "0-0" };
  readonly #ackTimers = new Set<Timer>();
  readonly #orphanMs: number;
  readonly #sweepMs: number;
  #sweep: Timer | undefined;
  #durable = true;
  #closed = false;

  constructor(options: GroupOptions) {
    this.#options = options;
    const { ackTimeoutMs, redeliveryMs, maxDeliveries } = options.limits;
    this.#orphanMs = ackTimeoutMs + redeliveryMs * 2 ** (maxDeliveries - 1) + ORPHAN_MARGIN_MS;
    this.#sweepMs = Math.min(LONGEST_SWEEP_MS, ackTimeoutMs / 2);
  }

  get topic(): string {
    return this.#options.topic;
  }

  get subscribers(): number {
    return this.#subscribers.size;
  }

  get inFlight(): number {
    return this.#subscribers.inFlight("normal") + this.#subscribers.inFlight("emergency");
  }

  /** Messages that may be read from Redis now. */
  room(lane: MessageLane): number {
    return this.#subscribers.room(lane) - this.#waiting[lane].size;
  }

  /** Makes sure that the group is there. @param from where one that is not begins: its end, or its first entry */
  async join(from: "$" | "0", durable: boolean): Promise<void> {
    const { keys, topic, name, consumer } = this.#options;
    this.#durable = durable;
    for (const lane of LANES)
      await this.#run(
        JOIN,
        [keys.stream(topic, lane), keys.passing(topic)],
        [name, consumer, from, durable ? 1 : 0],
      );
  }

  /** @returns what takes the subscriber out again */
  add(handler: MessageHandler, maxInFlight?: number): () => void {
    const leave = this.#subscribers.add(handler, maxInFlight);
    this.#handOut();
    void this.#look();
    return leave;
  }

  /** What was read from Redis. */
  give(lane: MessageLane, messages: readonly Given[]): void {
    for (const { entryId, payload, delivery } of messages) {
      const key = keyOf(lane, entryId);
      if (this.#held.has(key)) continue;
      const held: Held = { lane, entryId, payload, delivery, next: undefined, reason: "", pause: undefined };
      this.#held.set(key, held);
      if (delivery > this.#options.limits.maxDeliveries) this.#bury(held, "no consumer acknowledged it");
      else if (payload.length > this.#options.limits.maxPayloadBytes)
        this.#bury(held, "over the payload limit");
      else this.#waiting[lane].add(held);
    }
    this.#handOut();
  }

  /** Sends Redis what it could not be sent. */
  resume(): void {
    for (const held of [...this.#held.values()]) void this.#perform(held);
  }

  /** The reader is there (again): heals the group, and takes up what was cut off. */
  async recover(): Promise<void> {
    await this.join("0", this.#durable);
    for (const lane of LANES) {
      const { keys, topic, name, consumer } = this.#options;
      this.give(lane, given(await this.#run(OWN_PENDING, [keys.stream(topic, lane)], [name, consumer])));
    }
  }

  /** Nobody here listens any more: what waits for a subscriber goes back, and a group that is not to last ends. */
  async leave(): Promise<void> {
    this.#sweep?.cancel();
    this.#sweep = undefined;
    await this.#release((held) => this.#waiting[held.lane].has(held));
    await this.#end();
  }

  async #end(): Promise<void> {
    if (this.#durable || this.#subscribers.size > 0) return;
    const { keys, topic, name, consumer } = this.#options;
    const streams = LANES.map((lane) => keys.stream(topic, lane));
    await this.#run(
      LEAVE,
      [...streams, keys.counts(topic, name), keys.dead(topic, name), keys.passing(topic)],
      [name, consumer],
    );
  }

  /** Delivers nothing more; all that is held goes back, but for what is being acknowledged. */
  async close(): Promise<void> {
    this.forget();
    await this.#release((held) => held.next !== "acknowledge");
    await this.#end();
  }

  /** Delivers nothing more and keeps no timer. */
  forget(): void {
    this.#closed = true;
    this.#subscribers.clear();
    this.#sweep?.cancel();
    for (const timer of this.#ackTimers) timer.cancel();
    this.#ackTimers.clear();
    for (const { pause } of this.#held.values()) pause?.cancel();
  }

  #handOut(): void {
    for (const lane of LANES) {
      for (const held of this.#waiting[lane]) {
        const subscriber = this.#subscribers.free(lane);
        if (!subscriber) break;
        this.#waiting[lane].delete(held);
        void this.#deliver(held, subscriber);
      }
    }
    const changed = LANES.filter((lane) => this.room(lane) > 0 !== this.#hadRoom[lane]);
    for (const lane of changed) this.#hadRoom[lane] = !this.#hadRoom[lane];
    if (changed.length > 0) this.#options.onRoom();
  }

  async #deliver(held: Held, subscriber: Subscriber): Promise<void> {
    const { clock, limits, topic } = this.#options;
    const { lane, entryId, delivery } = held;
    subscriber.inFlight[lane]++;
    let ended = false;
    const end = (): boolean => {
      if (ended) return false;
      ended = true;
      ackTimer.cancel();
      this.#ackTimers.delete(ackTimer);
      subscriber.inFlight[lane]--;
      if (!this.#closed) this.#handOut();
      return true;
    };
    const ackTimer = clock.setTimer(() => {
      if (end()) this.#fail(held, delivery, `not acknowledged within ${limits.ackTimeoutMs} ms`);
    }, limits.ackTimeoutMs);
    this.#ackTimers.add(ackTimer);
    try {
      await subscriber.handler({ topic, entryId, lane, delivery, payload: held.payload.slice() });
      this.#acknowledge(held);
      end();
    } catch (error) {
      if (end()) this.#fail(held, delivery, messageOf(error));
    }
  }

  /** A late acknowledgement is one too: it calls the redelivery off. */
  #acknowledge(held: Held): void {
    held.pause?.cancel();
    this.#waiting[held.lane].delete(held);
    held.next = "acknowledge";
    void this.#perform(held);
  }

  #fail(held: Held, delivery: number, reason: string): void {
    const over = held.next === "acknowledge" || held.delivery !== delivery;
    if (this.#closed || over || !this.#held.has(keyOf(held.lane, held.entryId))) return;
    const { clock, limits } = this.#options;
    if (delivery >= limits.maxDeliveries) {
      this.#bury(held, reason);
      return;
    }
    held.pause = clock.setTimer(
      () => {
        held.next = "redeliver";
        void this.#perform(held);
      },
      limits.redeliveryMs * 2 ** (delivery - 1),
    );
  }

  #bury(held: Held, reason: string): void {
    held.next = "bury";
    held.reason = reason.slice(0, MAX_REASON);
    void this.#perform(held);
  }

  /** Reports to Redis what became of a message; where it is away, `recover` does. */
  async #perform(held: Held): Promise<void> {
    const { next, lane, entryId } = held;
    if (next === undefined) return;
    const { keys, topic, name, consumer, limits } = this.#options;
    const names = [keys.stream(topic, lane), keys.counts(topic, name)];
    try {
      if (next === "redeliver") {
        const delivery = Number(await this.#run(REDELIVER, names, [name, consumer, entryId]));
        if (held.next === "redeliver") this.#redelivered(held, delivery);
        return;
      }
      if (next === "acknowledge") await this.#run(ACKNOWLEDGE, names, [name, entryId]);
      else {
        const args = [name, entryId, lane, held.delivery, held.reason, limits.maxDeadLetters];
        await this.#run(BURY, [...names, keys.dead(topic, name)], args);
      }
      this.#held.delete(keyOf(lane, entryId));
    } catch (error) {
      if (!isUnavailable(error)) this.#held.delete(keyOf(lane, entryId));
    }
  }

  #redelivered(held: Held, delivery: number): void {
    held.next = undefined;
    if (delivery === 0) {
      this.#held.delete(keyOf(held.lane, held.entryId));
      return;
    }
    held.delivery = delivery;
    this.#waiting[held.lane].add(held);
    this.#handOut();
  }

  /** Once in a while: for what other consumers left, and to tidy up. */
  async #look(): Promise<void> {
    this.#sweep?.cancel();
    if (this.#closed) return;
    this.#sweep = this.#options.clock.setTimer(() => void this.#look(), this.#sweepMs);
    const { keys, topic, name, consumer } = this.#options;
    try {
      for (const lane of LANES) {
        await this.#adopt(lane);
        await this.#run(TIDY, [keys.stream(topic, lane)], [name, consumer]);
      }
    } catch (error) {
      if (!isUnavailable(error)) this.#options.onProblem(messageOf(error));
    }
  }

  async #adopt(lane: MessageLane): Promise<void> {
    const most = Math.min(MAX_ADOPTED, this.room(lane));
    if (most <= 0) return;
    const { keys, topic, name, consumer, onLost } = this.#options;
    const args = [name, consumer, this.#orphanMs, this.#cursors[lane], most];
    const names = [keys.stream(topic, lane), keys.counts(topic, name)];
    const [cursor, messages, lost] = asList(await this.#run(ADOPT, names, args));
    this.#cursors[lane] = String(cursor ?? "0-0");
    const entryIds = asList(lost).map(String);
    if (entryIds.length > 0) onLost({ topic, lane, entryIds });
    this.give(lane, given(messages));
  }

  async #release(which: (held: Held) => boolean): Promise<void> {
    const { keys, topic, name, consumer } = this.#options;
    for (const lane of LANES) {
      const back = [...this.#held.values()].filter((held) => held.lane === lane && which(held));
      if (back.length === 0) continue;
      // One that still waits was not delivered this time.
      const pairs = back.flatMap((held) => {
        this.#held.delete(keyOf(lane, held.entryId));
        return [held.entryId, this.#waiting[lane].delete(held) ? held.delivery - 1 : held.delivery];
      });
      await this.#run(RELEASE, [keys.stream(topic, lane)], [name, consumer, ...pairs]);
    }
  }

  #run(script: Script, names: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    return this.#options.connection().run(script, names, args);
  }
}

function keyOf(lane: MessageLane, entryId: string): string {
  return `${lane} ${entryId}`;
}

export function isUnavailable(error: unknown): boolean {
  return error instanceof KasminaError && (error.code === "unavailable" || error.code === "canceled");
}

export function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Messages as the scripts return them: [[id, payload, deliveries], …]. */
function given(reply: unknown): readonly Given[] {
  return asList(reply).map((entry) => {
    const [id, payload, delivery] = asList(entry);
    return { entryId: String(id), payload: bytesOf(payload), delivery: Number(delivery) };
  });
}

export function bytesOf(value: unknown): Uint8Array {
  return value instanceof Uint8Array ? Uint8Array.from(value) : new Uint8Array();
}
