/**
 * What a process publishes, in order. Each send has a number of its publisher and stream, so that one whose answer was
 * lost can be sent again and is stored once; and so that a Redis that came back without what it had confirmed (emptied,
 * or a replica that lagged behind) is found out, and each message named.
 */
import { type Clock, type Deferred, deferred, KasminaError, type Timer } from "../../base/index.js";
import type { MessageLane } from "../../contracts/index.js";
import { type BusLimits, groupFull } from "../bus.js";
import type { RedisConnection } from "./connection.js";
import type { Keys } from "./keys.js";
import { CHECK_SENT, PUBLISH, RECOGNIZED } from "./scripts.js";

/** Messages that wait for Redis; one more is refused. */
const MAX_WAITING = 4_096;
/** How often is asked what of the sent is still needed. */
const CHECK_MS = 1_000;
/** Machines whose clocks differ by more refuse each other's commands. */
const MAX_SKEW_MS = 5_000;

export interface LostMessages {
  readonly topic: string;
  readonly lane: MessageLane;
  readonly entryIds: readonly string[];
}

interface Send {
  readonly stream: SentStream;
  readonly number: number;
  readonly payload: Uint8Array;
  /** Of the topic's lease, where it must be held; else "". */
  readonly token: string;
  readonly answer: Deferred<string>;
  underway: boolean;
  /** When it was last sent, by this machine's clock. */
  sentMs: number;
}

/** Numbers given on one stream, and what was confirmed of it and may still be needed, oldest first. */
interface SentStream {
  readonly topic: string;
  readonly lane: MessageLane;
  numbers: number;
  confirmed: number;
  needed: { readonly number: number; readonly entryId: string }[];
  /** Whether some group has ever been there. */
  hasReaders: boolean;
  /** Whether Redis has forgotten of it what it had confirmed, and no group is back yet. */
  wasForgotten: boolean;
}

export interface SenderOptions {
  readonly connection: () => RedisConnection;
  readonly keys: Keys;
  /** Unique among all that ever publish. */
  readonly publisher: string;
  readonly limits: BusLimits;
  readonly clock: Clock;
  /** How long a message waits for Redis to come back. */
  readonly publishTimeoutMs: number;
  readonly onLost: (lost: LostMessages) => void;
  /** Receives by how much this machine's clock is ahead of Redis's, in ms, negative where it is behind; once until both agree again. */
  readonly onSkew: (aheadMs: number) => void;
}

export class Sender {
  readonly #options: SenderOptions;
  readonly #streams = new Map<string, SentStream>();
  /** In the order of their numbers. */
  readonly #waiting = new Set<Send>();
  #underway = 0;
  #check: Timer | undefined;
  #isSkewed = false;
  #closed = false;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  publish(topic: string, lane: MessageLane, payload: Uint8Array, token = ""): Promise<string> {
    if (this.#waiting.size >= MAX_WAITING)
      throw new KasminaError("overloaded", `${MAX_WAITING} messages wait for Redis`, { details: { topic } });
    const stream = this.#stream(topic, lane);
    const send: Send = {
      stream,
      number: ++stream.numbers,
      payload: payload.slice(),
      token,
      answer: deferred(),
      underway: false,
      sentMs: 0,
    };
    this.#waiting.add(send);
    const giveUp = setTimeout(() => this.#giveUp(send), this.#options.publishTimeoutMs);
    this.#pump();
    return send.answer.promise.finally(() => clearTimeout(giveUp));
  }

  /** Redis is there (again): what has no answer is sent once more, in order. */
  resume(): void {
    this.#pump();
    for (const stream of this.#streams.values()) void this.#checkStream(stream);
  }

  close(): void {
    this.#closed = true;
    this.#check?.cancel();
    for (const { answer } of this.#waiting) answer.reject(new KasminaError("canceled", "the bus is closed"));
    this.#waiting.clear();
  }

  #giveUp(send: Send): void {
    this.#waiting.delete(send);
    const { problem } = this.#options.connection();
    const what = problem === "" ? "no answer" : problem;
    send.answer.reject(
      new KasminaError("unavailable", `Redis did not take a message of ${send.stream.topic}: ${what}`),
    );
  }

  #pump(): void {
    if (!this.#options.connection().isUp) return;
    for (const send of this.#waiting) {
      if (this.#underway >= RECOGNIZED) return;
      if (!send.underway) void this.#send(send);
    }
  }

  async #send(send: Send): Promise<void> {
    const { keys, publisher, limits, connection } = this.#options;
    const { topic, lane } = send.stream;
    send.underway = true;
    send.sentMs = this.#options.clock.nowMs();
    this.#underway++;
    try {
      const names = [
        keys.stream(topic, lane),
        keys.sent(topic, lane, publisher),
        keys.passing(topic),
        keys.lease(topic),
      ];
      const reply = await connection().run(PUBLISH, names, [
        send.number,
        limits.maxQueued,
        send.payload,
        send.token,
      ]);
      this.#answered(send, texts(reply));
    } catch (error) {
      // Sent again when Redis is back; what Redis said no to is answered.
      const again = error instanceof KasminaError && error.code === "unavailable" && !this.#closed;
      if (!again && this.#waiting.delete(send)) send.answer.reject(KasminaError.from(error, "io"));
    } finally {
      send.underway = false;
      this.#underway--;
      this.#pump();
    }
  }

  #answered(send: Send, [verdict, what = "", last]: readonly string[]): void {
    const { stream, number } = send;
    this.#findLost(stream, Number(last));
    const waited = this.#waiting.delete(send);
    if (verdict === "full") {
      send.answer.reject(groupFull(stream.topic, what === "" ? "(all)" : what, this.#options.limits));
      return;
    }
    if (verdict === "fenced") {
      send.answer.reject(
        new KasminaError("illegal_state", `the lease of ${stream.topic} is another's by now`),
      );
      return;
    }
    const [redisMs, place] = what.split("-");
    // In a stream that is ahead of Redis's clock, for that was set back, ids go on from the last one: they tell no time.
    if (verdict === "sent" && place === "0") this.#checkClock(send.sentMs, Number(redisMs));
    stream.confirmed = Math.max(stream.confirmed, number);
    stream.needed.push({ number, entryId: what });
    this.#checkLater();
    if (waited) send.answer.resolve(what);
  }

  /** An entry's id says when Redis took it, by its own clock: between the sending and now, where both clocks agree. */
  #checkClock(sentMs: number, redisMs: number): void {
    const behindMs = redisMs - this.#options.clock.nowMs();
    const aheadMs = behindMs > 0 ? -behindMs : Math.max(0, sentMs - redisMs);
    const isSkewed = Math.abs(aheadMs) > MAX_SKEW_MS;
    if (isSkewed && !this.#isSkewed) this.#options.onSkew(aheadMs);
    this.#isSkewed = isSkewed;
  }

  /** @param last the highest number that Redis knows of this publisher: less than what it confirmed, where it forgot */
  #findLost(stream: SentStream, last: number): void {
    if (last >= stream.confirmed) return;
    stream.wasForgotten = true;
    const lost = stream.needed.filter(({ number }) => number > last && number <= stream.confirmed);
    stream.confirmed = last;
    stream.needed = stream.needed.filter((each) => !lost.includes(each));
    if (lost.length === 0) return;
    const { topic, lane } = stream;
    this.#options.onLost({ topic, lane, entryIds: lost.map(({ entryId }) => entryId) });
  }

  #checkLater(): void {
    this.#check ??= this.#options.clock.setTimer(() => {
      this.#check = undefined;
      if (this.#closed) return;
      const open = [...this.#streams.values()].filter(({ needed }) => needed.length > 0);
      for (const stream of open) void this.#checkStream(stream);
      if (open.length > 0) this.#checkLater();
    }, CHECK_MS);
  }

  async #checkStream(stream: SentStream): Promise<void> {
    if (stream.needed.length === 0) return;
    const { keys, publisher, connection } = this.#options;
    const { topic, lane } = stream;
    try {
      const names = [keys.stream(topic, lane), keys.sent(topic, lane, publisher)];
      const [last, lowest = "", isThere] = texts(await connection().run(CHECK_SENT, names, []));
      this.#findLost(stream, Number(last));
      if (lowest !== "") {
        stream.hasReaders = true;
        stream.wasForgotten = false;
      }
      // Emptied, it has no groups until their processes come back, which then read all of it.
      const isAwaited = stream.wasForgotten && stream.hasReaders && isThere === "1";
      stream.needed = isAwaited
        ? stream.needed.slice(-this.#options.limits.maxQueued)
        : stream.needed.filter(({ entryId }) => lowest !== "" && !isBelow(entryId, lowest));
    } catch {
      // Asked again when Redis is back, or the next time.
    }
  }

  #stream(topic: string, lane: MessageLane): SentStream {
    const key = `${lane} ${topic}`;
    const known = this.#streams.get(key);
    if (known) return known;
    const stream: SentStream = {
      topic,
      lane,
      numbers: 0,
      confirmed: 0,
      needed: [],
      hasReaders: false,
      wasForgotten: false,
    };
    this.#streams.set(key, stream);
    return stream;
  }
}

/** Replies of scripts that are lists of texts. */
export function texts(reply: unknown): readonly string[] {
  return Array.isArray(reply) ? reply.map(String) : [];
}

/** Of entry ids, `<ms>-<number>`. */
function isBelow(a: string, b: string): boolean {
  const [aMs = 0, aNumber = 0] = a.split("-").map(Number);
  const [bMs = 0, bNumber = 0] = b.split("-").map(Number);
  return aMs < bMs || (aMs === bMs && aNumber < bNumber);
}
