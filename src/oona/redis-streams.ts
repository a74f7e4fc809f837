/**
 * The bus on Redis Streams (Redis 7.0 or newer, one server or a replicated one, not a cluster): messages outlive the
 * process, and parts on several machines meet. A topic's lane is a stream, a group a consumer group, a process one consumer.
 *
 * Nothing that is not acknowledged is ever trimmed: a full group refuses more instead.
 */
import { randomUUID } from "node:crypto";
import { type Clock, KasminaError, systemClock } from "../base/index.js";
import type { MessageHandler, PublishOptions, SubscribeOptions, Subscription } from "../contracts/index.js";
import {
  type Bus,
  type BusLimits,
  checkPayload,
  DEFAULT_BUS_LIMITS,
  type DeadLetter,
  type GroupStats,
} from "./bus.js";
import { loadClientLibrary, type RedisAddress, shownAddress } from "./redis/client.js";
import { RedisConnection } from "./redis/connection.js";
import { asList, bytesOf, isUnavailable, RedisGroup } from "./redis/group.js";
import { DEFAULT_PREFIX, Keys } from "./redis/keys.js";
import { LEASE_SCRIPTS, TopicLease } from "./redis/lease.js";
import { Reader } from "./redis/reader.js";
import { ALL_SCRIPTS, LAST_ASKED, REMOVE, STATS } from "./redis/scripts.js";
import { type LostMessages, Sender } from "./redis/sender.js";

/** What a bus on Redis has to say besides messages. */
export type BusNotice =
  /** Redis is away, for this reason; what is published meanwhile waits a little and is then refused. */
  | { readonly kind: "down"; readonly reason: string }
  | { readonly kind: "up" }
  /** Redis had been emptied of a topic; its group collects again from the first entry on. */
  | { readonly kind: "healed"; readonly topic: string }
  /** Redis confirmed these and no longer has them (emptied, or failed over); they may not have been delivered. Of severity CRITICAL. */
  | ({ readonly kind: "lost" } & LostMessages)
  /** This machine's clock and Redis's differ by more than 5 s: so will those of other machines, which refuse its commands then. */
  | { readonly kind: "skew"; readonly aheadMs: number }
  | { readonly kind: "problem"; readonly reason: string };

export interface RedisBusOptions extends Partial<BusLimits>, RedisAddress {
  /** Before every key. Default `oona`. */
  readonly prefix?: string;
  /** Part of the name of this process's consumer, for people. Default `kasmina`. */
  readonly name?: string;
  /** How long a message waits for a Redis that is away before it is refused, in ms. Default 2,000. */
  readonly publishTimeoutMs?: number;
  /** How long {@link RedisStreamsBus.open} tries, in ms. Default 5,000. */
  readonly openTimeoutMs?: number;
  /** Must not throw. */
  readonly onNotice?: (notice: BusNotice) => void;
  /** For redelivery, and to be held against Redis's. Default: the machine's. */
  readonly clock?: Clock;
}

export class RedisStreamsBus implements Bus {
  readonly #options: RedisBusOptions;
  readonly #limits: BusLimits;
  readonly #keys: Keys;
  readonly #connection: RedisConnection;
  readonly #sender: Sender;
  readonly #readers = new Map<string, Reader>();
  readonly #groups = new Map<string, RedisGroup>();
  readonly #consumer: string;
  readonly #connect: Omit<ConstructorParameters<typeof RedisConnection>[0], "name">;
  #closed: Promise<void> | undefined;

  /**
   * Connects, and comes back by itself whenever the connection is lost.
   * Rejects with KasminaError `unavailable` where Redis cannot be reached or the package @redis/client is not installed,
   * `invalid_argument` for an address that is none.
   *
   * @example const bus = await RedisStreamsBus.open({ url: "redis://127.0.0.1:6379" });
   */
  static async open(options: RedisBusOptions): Promise<RedisStreamsBus> {
    shownAddress(options.url);
    const bus = new RedisStreamsBus(options, await loadClientLibrary());
    const timer = setTimeout(() => void bus.close(), options.openTimeoutMs ?? 5_000);
    try {
      await bus.#connection.whenUp();
      return bus;
    } catch (error) {
      const { problem } = bus.#connection;
      throw new KasminaError(
        "unavailable",
        `Redis at ${shownAddress(options.url)} cannot be reached: ${problem}`,
        {
          cause: error,
        },
      );
    } finally {
      clearTimeout(timer);
    }
  }

  private constructor(options: RedisBusOptions, library: Awaited<ReturnType<typeof loadClientLibrary>>) {
    const { url, tls, clock = systemClock, name = "kasmina", prefix = DEFAULT_PREFIX } = options;
    this.#options = options;
    this.#limits = limitsOf(options);
    this.#keys = new Keys(prefix);
    this.#consumer = `${name}-${process.pid}-${randomUUID()}`;
    this.#connect = { library, address: { url, ...(tls && { tls }) } };
    this.#connection = new RedisConnection({
      ...this.#connect,
      name: this.#consumer.replace(/[^!-~]/g, "_"),
      scripts: [...ALL_SCRIPTS, ...LEASE_SCRIPTS],
      onUp: () => this.#up(),
      onDown: (reason) => this.#notify({ kind: "down", reason }),
    });
    this.#sender = new Sender({
      connection: () => this.#connection,
      keys: this.#keys,
      publisher: this.#consumer,
      limits: this.#limits,
      clock,
      publishTimeoutMs: options.publishTimeoutMs ?? 2_000,
      onLost: (lost) => this.#notify({ kind: "lost", ...lost }),
      onSkew: (aheadMs) => this.#notify({ kind: "skew", aheadMs }),
    });
  }

  /** Whether Redis can be reached now. */
  get isUp(): boolean {
    return this.#connection.isUp;
  }

  async publish(topic: string, payload: Uint8Array, options: PublishOptions = {}): Promise<string> {
    this.#refuseClosed();
    checkPayload(topic, payload, this.#limits);
    return this.#sender.publish(topic, options.lane ?? "normal", payload);
  }

  async subscribe(
    topic: string,
    name: string,
    handler: MessageHandler,
    options: SubscribeOptions = {},
  ): Promise<Subscription> {
    this.#refuseClosed();
    const group = this.#group(topic, name);
    await group.join("$", options.durable ?? true);
    const leave = group.add(handler, options.maxInFlight);
    this.#reader(name).add(group);
    return {
      close: async () => {
        leave();
        this.#readers.get(name)?.wake();
        if (group.subscribers === 0 && !this.#closed) await this.#leave(group, name);
      },
    };
  }

  async deadLetters(topic: string, group: string): Promise<readonly DeadLetter[]> {
    this.#refuseClosed();
    const entries = await this.#connection.send(["XRANGE", this.#keys.dead(topic, group), "-", "+"]);
    return asList(entries).map((entry) => deadLetterOf(topic, group, asList(asList(entry)[1])));
  }

  async stats(topic: string, group: string): Promise<GroupStats | undefined> {
    this.#refuseClosed();
    const keys = [...this.#streams(topic), this.#keys.counts(topic, group)];
    const counts = asList(await this.#connection.run(STATS, keys, [group, this.#limits.maxQueued + 1])).map(
      Number,
    );
    if (counts.length === 0) return undefined;
    const [unacknowledged = 0, acknowledged = 0, redelivered = 0, dead = 0] = counts;
    const inFlight = this.#groups.get(groupKey(topic, group))?.inFlight ?? 0;
    const published = unacknowledged + acknowledged + dead;
    return { published, acknowledged, redelivered, dead, unacknowledged, inFlight };
  }

  /**
   * How long ago a process of a group last asked for messages, in ms; one that lives asks every second. Undefined where the
   * group is gone, or nobody was ever in it. Rejects with KasminaError `unavailable`
   */
  async lastAskedMs(topic: string, group: string): Promise<number | undefined> {
    this.#refuseClosed();
    const [idleMs] = asList(await this.#connection.run(LAST_ASKED, this.#streams(topic), [group]));
    return idleMs === undefined ? undefined : Number(idleMs);
  }

  async removeTopic(topic: string): Promise<void> {
    this.#refuseClosed();
    for (const [key, group] of this.#groups) {
      if (group.topic !== topic) continue;
      group.forget();
      this.#groups.delete(key);
      for (const reader of this.#readers.values()) await reader.remove(group);
    }
    const beside = (["passing", "lease", "fence", "memory"] as const).map((what) => this.#keys[what](topic));
    const keys = [...this.#streams(topic), ...beside];
    await this.#connection.run(REMOVE, keys, [this.#keys.counts(topic, ""), this.#keys.dead(topic, "")]);
  }

  /**
   * Takes the lease of a topic: who holds it alone publishes there by way of it.
   *
   * @param ttlMs it ends so long after it was last renewed
   * @returns undefined where another process has it. Rejects with KasminaError `unavailable`
   */
  acquireLease(topic: string, ttlMs: number): Promise<TopicLease | undefined> {
    this.#refuseClosed();
    return TopicLease.acquire({
      topic,
      ttlMs,
      connection: () => this.#connection,
      keys: this.#keys,
      publish: async (payload, token, options = {}) => {
        this.#refuseClosed();
        checkPayload(topic, payload, this.#limits);
        return this.#sender.publish(topic, options.lane ?? "normal", payload, token);
      },
    });
  }

  /** Whether some process holds the lease of a topic. Rejects with KasminaError `unavailable` */
  async hasLeaseHolder(topic: string): Promise<boolean> {
    return (await this.#connection.send(["EXISTS", this.#keys.lease(topic)])) === 1;
  }

  /** Topics below `base`, `base/<what>`, that somebody has subscribed or published to. Rejects with KasminaError `unavailable` */
  async topicsBelow(base: string): Promise<readonly string[]> {
    const found = new Set<string>();
    const [head, tail] = [
      this.#keys.stream(`${base}/`, "emergency").replace(/}:emergency$/, ""),
      "}:emergency",
    ];
    let cursor = "0";
    do {
      const [next, names] = asList(
        await this.#connection.send(["SCAN", cursor, "MATCH", `${head}*${tail}`, "COUNT", 1_000]),
      );
      cursor = String(next);
      for (const name of asList(names)) found.add(`${base}/${String(name).slice(head.length, -tail.length)}`);
    } while (cursor !== "0");
    return [...found].sort();
  }

  /** Takes and delivers nothing more. What this process has in hand goes back to Redis, for others of its groups to take at once. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#sender.close();
    const groups = [...this.#groups.values()];
    for (const group of groups) group.forget();
    await Promise.all([...this.#readers.values()].map((reader) => reader.close()));
    // What cannot be handed back is taken over by others after a while.
    if (this.#connection.isUp) await Promise.allSettled(groups.map((group) => group.close()));
    this.#connection.close();
  }

  /** Its subscriptions are closed; messages that come meanwhile go to others of the group. */
  async #leave(group: RedisGroup, name: string): Promise<void> {
    await this.#readers.get(name)?.remove(group);
    if (group.subscribers > 0) {
      this.#readers.get(name)?.add(group);
      return;
    }
    await group.leave().catch((error: unknown) => {
      if (!isUnavailable(error)) throw error;
    });
  }

  #up(): void {
    this.#notify({ kind: "up" });
    this.#sender.resume();
    for (const group of this.#groups.values()) group.resume();
  }

  #notify(notice: BusNotice): void {
    this.#options.onNotice?.(notice);
  }

  #refuseClosed(): void {
    if (this.#closed) throw new KasminaError("canceled", "the bus is closed");
  }

  #streams(topic: string): readonly string[] {
    return [this.#keys.stream(topic, "emergency"), this.#keys.stream(topic, "normal")];
  }

  #group(topic: string, name: string): RedisGroup {
    const key = groupKey(topic, name);
    const known = this.#groups.get(key);
    if (known) return known;
    const group = new RedisGroup({
      topic,
      name,
      consumer: this.#consumer,
      connection: () => this.#connection,
      keys: this.#keys,
      limits: this.#limits,
      clock: this.#options.clock ?? systemClock,
      onLost: (lost) => this.#notify({ kind: "lost", ...lost }),
      onRoom: () => this.#readers.get(name)?.wake(),
      onProblem: (reason) => this.#notify({ kind: "problem", reason }),
    });
    this.#groups.set(key, group);
    return group;
  }

  #reader(name: string): Reader {
    const known = this.#readers.get(name);
    if (known) return known;
    const reader = new Reader({
      group: name,
      consumer: this.#consumer,
      keys: this.#keys,
      connect: this.#connect,
      shared: () => this.#connection,
      onHealed: (topic) => this.#notify({ kind: "healed", topic }),
      onProblem: (reason) => this.#notify({ kind: "problem", reason }),
    });
    this.#readers.set(name, reader);
    return reader;
  }
}

function limitsOf(options: Partial<BusLimits>): BusLimits {
  const limits = { ...DEFAULT_BUS_LIMITS };
  for (const name of Object.keys(limits) as (keyof BusLimits)[]) limits[name] = options[name] ?? limits[name];
  return limits;
}

function groupKey(topic: string, group: string): string {
  return `${topic} ${group}`;
}

function deadLetterOf(topic: string, group: string, fields: readonly unknown[]): DeadLetter {
  const field = (name: string): unknown => {
    const at = fields.findIndex((each, i) => i % 2 === 0 && String(each) === name);
    return at < 0 ? undefined : fields[at + 1];
  };
  return {
    topic,
    group,
    entryId: String(field("id")),
    lane: String(field("lane")) === "emergency" ? "emergency" : "normal",
    payload: bytesOf(field("payload")),
    deliveries: Number(field("deliveries")),
    reason: String(field("reason")),
  };
}
