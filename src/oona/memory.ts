/** The in-process bus. Messages live as long as the process: what must outlive it needs a bus that stores. */
import { type Clock, KasminaError, systemClock } from "../base/index.js";
import type { MessageHandler, PublishOptions, SubscribeOptions, Subscription } from "../contracts/index.js";
import {
  type Bus,
  type BusLimits,
  checkPayload,
  DEFAULT_BUS_LIMITS,
  type DeadLetter,
  type GroupStats,
  groupFull,
} from "./bus.js";
import { MemoryGroup } from "./memory-group.js";

export interface MemoryBusOptions extends Partial<BusLimits> {
  readonly clock?: Clock;
}

export class MemoryBus implements Bus {
  readonly #limits: BusLimits;
  readonly #clock: Clock;
  readonly #topics = new Map<string, Map<string, MemoryGroup>>();
  /** As in Redis, an id begins with a time, so that a later process does not give the same id again. */
  readonly #startedAtMs: number;
  #entries = 0;
  #closed = false;

  constructor({ clock = systemClock, ...limits }: MemoryBusOptions = {}) {
    this.#clock = clock;
    this.#startedAtMs = clock.nowMs();
    this.#limits = { ...DEFAULT_BUS_LIMITS, ...limits };
  }

  async publish(topic: string, payload: Uint8Array, options: PublishOptions = {}): Promise<string> {
    const lane = options.lane ?? "normal";
    this.#refuseClosed();
    checkPayload(topic, payload, this.#limits);
    const groups = [...(this.#topics.get(topic)?.values() ?? [])];
    const full = groups.find((group) => group.isFull(lane));
    if (full) throw groupFull(topic, full.name, this.#limits);
    const entryId = `${this.#startedAtMs}-${++this.#entries}`;
    const message = { topic, entryId, lane, payload: payload.slice() };
    for (const group of groups) group.add(message);
    return entryId;
  }

  async subscribe(
    topic: string,
    name: string,
    handler: MessageHandler,
    options: SubscribeOptions = {},
  ): Promise<Subscription> {
    this.#refuseClosed();
    const group = this.#group(topic, name);
    const leave = group.join(handler, options.maxInFlight);
    return {
      close: async () => {
        leave();
        if (options.durable === false && group.subscribers === 0) this.#forget(topic, group);
      },
    };
  }

  async deadLetters(topic: string, group: string): Promise<readonly DeadLetter[]> {
    return this.#topics.get(topic)?.get(group)?.deadLetters ?? [];
  }

  async stats(topic: string, group: string): Promise<GroupStats | undefined> {
    return this.#topics.get(topic)?.get(group)?.stats;
  }

  async removeTopic(topic: string): Promise<void> {
    for (const group of this.#topics.get(topic)?.values() ?? []) group.close();
    this.#topics.delete(topic);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const groups of this.#topics.values()) for (const group of groups.values()) group.close();
    this.#topics.clear();
  }

  #refuseClosed(): void {
    if (this.#closed) throw new KasminaError("canceled", "the bus is closed");
  }

  #group(topic: string, name: string): MemoryGroup {
    let groups = this.#topics.get(topic);
    if (!groups) {
      groups = new Map();
      this.#topics.set(topic, groups);
    }
    let group = groups.get(name);
    if (!group) {
      group = new MemoryGroup(topic, name, this.#limits, this.#clock);
      groups.set(name, group);
    }
    return group;
  }

  #forget(topic: string, group: MemoryGroup): void {
    const groups = this.#topics.get(topic);
    if (groups?.get(group.name) !== group) return;
    group.close();
    groups.delete(group.name);
    if (groups.size === 0) this.#topics.delete(topic);
  }
}
