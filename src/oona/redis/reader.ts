/**
 * The blocking reads of one group name, over all topics it is subscribed to, on a connection of its own: Redis holds a
 * connection until something comes. A read that was sent cannot be taken back, so when there is more to ask for, the
 * other connection has Redis end it early.
 */
import { type Deferred, deferred, messageOf, minOf } from "../../base/index.js";
import type { MessageLane } from "../../contracts/index.js";
import { LANES } from "../bus.js";
import { type ConnectionOptions, RedisConnection } from "./connection.js";
import { asList, bytesOf, type Given, isUnavailable, type RedisGroup } from "./group.js";
import type { Keys } from "./keys.js";

/** How long a read waits in Redis. */
const BLOCK_MS = 1_000;
/** A read that Redis has not begun yet cannot be ended; it is asked again so much later. */
const WAKE_AGAIN_MS = 5;
const AFTER_ERROR_MS = 200;

export interface ReaderOptions {
  readonly group: string;
  readonly consumer: string;
  readonly keys: Keys;
  readonly connect: Omit<ConnectionOptions, "name">;
  /** Of the bus: for everything that waits for nothing. */
  readonly shared: () => RedisConnection;
  /** A group that was gone is there again, from the first entry on. */
  readonly onHealed: (topic: string) => void;
  readonly onProblem: (problem: string) => void;
}

interface Wanted {
  readonly key: string;
  readonly lane: MessageLane;
  readonly group: RedisGroup;
}

export class Reader {
  readonly #options: ReaderOptions;
  readonly #connection: RedisConnection;
  readonly #groups = new Set<RedisGroup>();
  /** Resolved and replaced when there may be more to ask for. */
  #changed: Deferred<void> = deferred();
  /** What the read under way asks for. */
  #asked = "";
  #recovered = false;
  #clientId = "";
  #waking: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  readonly #ended: Promise<void>;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#connection = new RedisConnection({
      ...options.connect,
      name: `${options.consumer}:${options.group}`.replace(/[^!-~]/g, "_"),
      onDown: () => {
        this.#recovered = false;
      },
    });
    this.#ended = this.#read();
  }

  get groups(): number {
    return this.#groups.size;
  }

  add(group: RedisGroup): void {
    this.#groups.add(group);
    this.wake();
  }

  /** Resolves when no read under way asks for it any more. */
  async remove(group: RedisGroup): Promise<void> {
    this.#groups.delete(group);
    // It only waits: several that leave at once must not wake each other for ever.
    while (!this.#closed && this.#asked.includes(` ${group.topic} `)) {
      this.#interrupt();
      await this.#changed.promise;
    }
  }

  /** Asks anew where what may be asked for has changed. */
  wake(): void {
    this.#signal();
    this.#interrupt();
  }

  #interrupt(): void {
    if (this.#asked === "" || this.#closed || this.#waking) return;
    if (describe(this.#wanted()) !== this.#asked) void this.#endRead();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#waking);
    this.#connection.close();
    this.#signal();
    await this.#ended;
  }

  #signal(): void {
    const { resolve } = this.#changed;
    this.#changed = deferred();
    resolve();
  }

  async #endRead(): Promise<void> {
    const asked = this.#asked;
    this.#waking = setTimeout(() => {
      this.#waking = undefined;
      if (this.#asked === asked) this.#interrupt();
    }, WAKE_AGAIN_MS);
    await this.#options
      .shared()
      .send(["CLIENT", "UNBLOCK", this.#clientId])
      .catch(() => undefined);
  }

  async #read(): Promise<void> {
    while (!this.#closed) {
      try {
        await this.#connection.whenUp();
        if (!this.#recovered) await this.#recover();
        await this.#readOnce();
      } catch (error) {
        if (this.#closed) return;
        await this.#heal(error);
      } finally {
        this.#asked = "";
        this.#signal();
      }
    }
  }

  async #recover(): Promise<void> {
    this.#recovered = true;
    try {
      this.#clientId = String(await this.#connection.send(["CLIENT", "ID"]));
      for (const group of this.#groups) await group.recover();
    } catch (error) {
      this.#recovered = false;
      throw error;
    }
  }

  async #readOnce(): Promise<void> {
    const wanted = this.#wanted();
    if (wanted.length === 0) {
      if (!this.#closed) await this.#changed.promise;
      return;
    }
    this.#asked = describe(wanted);
    const { group, consumer } = this.#options;
    const count = minOf(wanted.map((each) => each.group.room(each.lane)));
    const names = wanted.map(({ key }) => key);
    const command = ["XREADGROUP", "GROUP", group, consumer, "COUNT", count, "BLOCK", BLOCK_MS, "STREAMS"];
    const reply = await this.#connection.send([...command, ...names, ...names.map(() => ">")], BLOCK_MS);
    this.#asked = "";
    const byKey = new Map(wanted.map((each) => [each.key, each]));
    for (const stream of asList(reply)) {
      const [key, entries] = asList(stream);
      const to = byKey.get(String(key));
      to?.group.give(to.lane, asList(entries).map(entryOf));
    }
  }

  /** Redis was emptied: first it ends the read, then it knows no group. */
  async #heal(error: unknown): Promise<void> {
    if (isUnavailable(error)) {
      if (this.#connection.isUp) await pause(AFTER_ERROR_MS);
      return;
    }
    const problem = messageOf(error);
    if (/UNBLOCKED/.test(problem)) return;
    this.#recovered = false;
    if (/NOGROUP/.test(problem)) for (const { topic } of this.#groups) this.#options.onHealed(topic);
    else {
      this.#options.onProblem(problem);
      await pause(AFTER_ERROR_MS);
    }
  }

  #wanted(): readonly Wanted[] {
    return LANES.flatMap((lane) =>
      [...this.#groups]
        .filter((group) => group.room(lane) > 0)
        .map((group) => ({ key: this.#options.keys.stream(group.topic, lane), lane, group })),
    );
  }
}

function describe(wanted: readonly Wanted[]): string {
  return wanted.map(({ lane, group }) => `${lane} ${group.topic} `).join(";");
}

function entryOf(entry: unknown): Given {
  const [id, fields] = asList(entry);
  const list = asList(fields);
  const at = list.findIndex((name, i) => i % 2 === 0 && String(name) === "payload");
  return { entryId: String(id), payload: bytesOf(at < 0 ? undefined : list[at + 1]), delivery: 1 };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
