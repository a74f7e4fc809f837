/**
 * Who may command a run over Redis: one process at a time. A lease lies beside the run's command stream and ends by itself
 * when it is not renewed, by Redis's clock alone. What its holder publishes and keeps goes through Redis together with the
 * question whether the lease is still its own: one that was suspended and comes back finds itself fenced off.
 */
import { randomUUID } from "node:crypto";
import { KasminaError } from "../../base/index.js";
import type { PublishOptions } from "../../contracts/index.js";
import { type RedisConnection, Script } from "./connection.js";
import { bytesOf } from "./group.js";
import type { Keys } from "./keys.js";

/** KEYS lease, fence; ARGV token, ms. @returns the fence; 0 where somebody else has it */
const ACQUIRE = new Script(`
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
return redis.call('INCR', KEYS[2])
`);
/** KEYS lease; ARGV token, ms. */
const RENEW = new Script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`);
/** KEYS lease; ARGV token. */
const GIVE_BACK = new Script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`);
/** KEYS lease, memory; ARGV token, bytes. */
const KEEP = new Script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
return 1
`);

export const LEASE_SCRIPTS: readonly Script[] = [ACQUIRE, RENEW, GIVE_BACK, KEEP];

/** Publishes where the lease beside the topic has this token; rejects with `illegal_state` where it has not. */
export type FencedPublish = (payload: Uint8Array, token: string, options?: PublishOptions) => Promise<string>;

export interface TopicLeaseOptions {
  readonly topic: string;
  /** It ends so long after it was last renewed. */
  readonly ttlMs: number;
  readonly connection: () => RedisConnection;
  readonly keys: Keys;
  readonly publish: FencedPublish;
}

export class TopicLease {
  readonly topic: string;
  /** Grows with each taking of the topic. */
  readonly fence: number;
  readonly #options: TopicLeaseOptions;
  readonly #token: string;

  /** @returns undefined where somebody else has it. Rejects with KasminaError `unavailable` */
  static async acquire(options: TopicLeaseOptions): Promise<TopicLease | undefined> {
    const { topic, ttlMs, connection, keys } = options;
    const token = randomUUID();
    const fence = Number(
      await connection().run(ACQUIRE, [keys.lease(topic), keys.fence(topic)], [token, ttlMs]),
    );
    return fence === 0 ? undefined : new TopicLease(options, token, fence);
  }

  private constructor(options: TopicLeaseOptions, token: string, fence: number) {
    this.topic = options.topic;
    this.fence = fence;
    this.#options = options;
    this.#token = token;
  }

  /** @returns whether it is still one's own. Rejects with KasminaError `unavailable` */
  async renew(): Promise<boolean> {
    const { topic, ttlMs, connection, keys } = this.#options;
    return Number(await connection().run(RENEW, [keys.lease(topic)], [this.#token, ttlMs])) === 1;
  }

  /** For another to take at once. Rejects with KasminaError `unavailable` */
  async release(): Promise<void> {
    const { topic, connection, keys } = this.#options;
    await connection().run(GIVE_BACK, [keys.lease(topic)], [this.#token]);
  }

  /** Publishes on its topic. Rejects with KasminaError `illegal_state` where the lease is another's by now, and as the bus does */
  publish(payload: Uint8Array, options?: PublishOptions): Promise<string> {
    return this.#options.publish(payload, this.#token, options);
  }

  /** Keeps what the next holder needs. Rejects with KasminaError `illegal_state` where the lease is another's by now */
  async keep(memory: Uint8Array): Promise<void> {
    const { topic, connection, keys } = this.#options;
    const names = [keys.lease(topic), keys.memory(topic)];
    if (Number(await connection().run(KEEP, names, [this.#token, memory])) === 1) return;
    throw new KasminaError("illegal_state", `the lease of ${topic} is another's by now`);
  }

  /** What the last holder kept; undefined where none did. */
  async recall(): Promise<Uint8Array | undefined> {
    const reply = await this.#options.connection().send(["GET", this.#options.keys.memory(this.topic)]);
    return reply === null ? undefined : bytesOf(reply);
  }
}
