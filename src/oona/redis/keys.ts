/**
 * Names in Redis. What other programs use is the stream of a topic's lane, `oona:{<topic>}:<lane>`, an entry of which has
 * the fields `v` = 1 and `payload`; the rest is the bus's own bookkeeping beside it. The braces keep a topic's keys
 * together, and an ACL rule `~oona:{<topic>}:*` covers them all.
 */
import type { MessageLane } from "../../contracts/index.js";

export const DEFAULT_PREFIX = "oona";

export class Keys {
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** Where the messages of a lane are. */
  stream(topic: string, lane: MessageLane): string {
    return this.#of(topic, lane);
  }

  /** Hash: what became of a group's messages. */
  counts(topic: string, group: string): string {
    return this.#of(topic, `counts:${group}`);
  }

  /** Stream: dead letters of a group. */
  dead(topic: string, group: string): string {
    return this.#of(topic, `dead:${group}`);
  }

  /** Set: groups that end with their last subscriber. */
  passing(topic: string): string {
    return this.#of(topic, "passing");
  }

  /** Hash: what one publisher has sent on a lane; a message sent again is known by it. */
  sent(topic: string, lane: MessageLane, publisher: string): string {
    return this.#of(topic, `sent:${lane}:${publisher}`);
  }

  /** String: who holds the topic's lease. */
  lease(topic: string): string {
    return this.#of(topic, "lease");
  }

  /** Number: how often the lease was taken. */
  fence(topic: string): string {
    return this.#of(topic, "fence");
  }

  /** Bytes: what one holder of the lease leaves to the next. */
  memory(topic: string): string {
    return this.#of(topic, "memory");
  }

  #of(topic: string, what: string): string {
    return `${this.#prefix}:{${topic}}:${what}`;
  }
}
