/** One group of one topic of the in-process bus: its queues, its subscribers, and what became of each message. */
import { type Clock, messageOf, type Timer } from "../base/index.js";
import type { MessageHandler, MessageLane } from "../contracts/index.js";
import { type BusLimits, type DeadLetter, type GroupStats, LANES } from "./bus.js";
import { type Subscriber, Subscribers } from "./subscribers.js";

export interface StoredMessage {
  readonly topic: string;
  readonly entryId: string;
  readonly lane: MessageLane;
  readonly payload: Uint8Array;
}

interface Entry {
  readonly message: StoredMessage;
  deliveries: number;
  /** Running while it waits for redelivery. */
  pause: Timer | undefined;
}

/** Everything not acknowledged on one lane. `waiting` and `again` are what can be delivered now. */
interface Lane {
  readonly held: Set<Entry>;
  readonly waiting: Set<Entry>;
  readonly again: Set<Entry>;
}

export class MemoryGroup {
  readonly #name: string;
  readonly #topic: string;
  readonly #limits: BusLimits;
  readonly #clock: Clock;
  readonly #lanes: Record<MessageLane, Lane> = { emergency: newLane(), normal: newLane() };
  readonly #subscribers = new Subscribers();
  readonly #deadLetters: DeadLetter[] = [];
  readonly #ackTimers = new Set<Timer>();
  readonly #counts = { published: 0, acknowledged: 0, redelivered: 0, dead: 0 };
  #scheduled = false;
  #closed = false;

  constructor(topic: string, name: string, limits: BusLimits, clock: Clock) {
    this.#topic = topic;
    this.#name = name;
    this.#limits = limits;
    this.#clock = clock;
  }

  get name(): string {
    return this.#name;
  }

  get subscribers(): number {
    return this.#subscribers.size;
  }

  get deadLetters(): readonly DeadLetter[] {
    return [...this.#deadLetters];
  }

  get stats(): GroupStats {
    const sum = (count: (lane: MessageLane) => number): number => count("normal") + count("emergency");
    return {
      ...this.#counts,
      unacknowledged: sum((lane) => this.#lanes[lane].held.size),
      inFlight: sum((lane) => this.#subscribers.inFlight(lane)),
    };
  }

  isFull(lane: MessageLane): boolean {
    return this.#lanes[lane].held.size >= this.#limits.maxQueued;
  }

  add(message: StoredMessage): void {
    const entry: Entry = { message, deliveries: 0, pause: undefined };
    const lane = this.#lanes[message.lane];
    lane.held.add(entry);
    lane.waiting.add(entry);
    this.#counts.published++;
    this.#schedule();
  }

  /** @returns what takes the subscriber out again */
  join(handler: MessageHandler, maxInFlight?: number): () => void {
    const leave = this.#subscribers.add(handler, maxInFlight);
    this.#schedule();
    return leave;
  }

  close(): void {
    this.#closed = true;
    this.#subscribers.clear();
    for (const timer of this.#ackTimers) timer.cancel();
    this.#ackTimers.clear();
    for (const lane of LANES) for (const entry of this.#lanes[lane].held) entry.pause?.cancel();
  }

  /** Hands out in a microtask of its own, so that a publisher never runs a handler. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      for (const lane of LANES) this.#handOut(lane);
    });
  }

  #handOut(name: MessageLane): void {
    const lane = this.#lanes[name];
    for (const queue of [lane.again, lane.waiting]) {
      for (const entry of queue) {
        const subscriber = this.#subscribers.free(name);
        if (!subscriber) return;
        queue.delete(entry);
        void this.#deliver(entry, subscriber);
      }
    }
  }

  async #deliver(entry: Entry, subscriber: Subscriber): Promise<void> {
    const { lane } = entry.message;
    entry.deliveries++;
    if (entry.deliveries > 1) this.#counts.redelivered++;
    subscriber.inFlight[lane]++;
    let ended = false;
    const end = (failure?: string): void => {
      if (ended) return;
      ended = true;
      ackTimer.cancel();
      this.#ackTimers.delete(ackTimer);
      subscriber.inFlight[lane]--;
      if (failure !== undefined) this.#deliverAgain(entry, failure);
      this.#schedule();
    };
    const ackTimer = this.#clock.setTimer(
      () => end(`not acknowledged within ${this.#limits.ackTimeoutMs} ms`),
      this.#limits.ackTimeoutMs,
    );
    this.#ackTimers.add(ackTimer);
    try {
      const payload = entry.message.payload.slice();
      await subscriber.handler({ ...entry.message, payload, delivery: entry.deliveries });
      this.#acknowledge(entry);
      end();
    } catch (error) {
      end(messageOf(error));
    }
  }

  /** A late acknowledgement is one too: it calls the redelivery off. */
  #acknowledge(entry: Entry): void {
    if (this.#release(entry)) this.#counts.acknowledged++;
  }

  #deliverAgain(entry: Entry, failure: string): void {
    const lane = this.#lanes[entry.message.lane];
    if (this.#closed || !lane.held.has(entry)) return;
    if (entry.deliveries >= this.#limits.maxDeliveries) {
      this.#bury(entry, failure);
      return;
    }
    const pauseMs = this.#limits.redeliveryMs * 2 ** (entry.deliveries - 1);
    entry.pause = this.#clock.setTimer(() => {
      lane.again.add(entry);
      this.#schedule();
    }, pauseMs);
  }

  #bury(entry: Entry, reason: string): void {
    if (!this.#release(entry)) return;
    this.#counts.dead++;
    this.#deadLetters.push({
      ...entry.message,
      topic: this.#topic,
      group: this.#name,
      deliveries: entry.deliveries,
      reason,
    });
    if (this.#deadLetters.length > this.#limits.maxDeadLetters) this.#deadLetters.shift();
  }

  #release(entry: Entry): boolean {
    const lane = this.#lanes[entry.message.lane];
    entry.pause?.cancel();
    lane.waiting.delete(entry);
    lane.again.delete(entry);
    return lane.held.delete(entry);
  }
}

function newLane(): Lane {
  return { held: new Set(), waiting: new Set(), again: new Set() };
}
