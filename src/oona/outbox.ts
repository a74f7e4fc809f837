/**
 * Store and forward: what must leave this process while the bus is away lies in a folder until the bus has taken it, the
 * emergency lane first, each lane in its order. It survives the process. A message may arrive twice where the process dies
 * between the bus taking it and its file going.
 */
import { join } from "node:path";
import { z } from "zod";
import {
  makeFolder,
  namesIn,
  readRegularIfThere,
  removeFile,
  writeFileAtomically,
} from "../base/disk/index.node.js";
import { type Clock, KasminaError, systemClock, type Timer, utf8 } from "../base/index.js";
import type { MessageLane, PublishOptions } from "../contracts/index.js";
import { LANES } from "./bus.js";

export interface OutboxLimits {
  /** Messages of the normal lane; beyond, the oldest goes. Default 10,000. */
  readonly maxNormal: number;
  /** Messages of the emergency lane; one more is refused, never dropped. Default 1,024. */
  readonly maxEmergency: number;
  /** Bytes of both. Default 64 MiB. */
  readonly maxBytes: number;
}

export interface OutboxOptions extends Partial<OutboxLimits> {
  /** Made where it is not there. One process's own. */
  readonly folder: string;
  /** Where the messages go. */
  readonly bus: {
    publish(topic: string, payload: Uint8Array, options?: PublishOptions): Promise<string>;
    readonly isUp?: boolean;
  };
  /** Receives how many messages of the normal lane had to go, or could not be sent at all, and why. Must not throw. */
  readonly onDropped?: (count: number, reason: string) => void;
  readonly clock?: Clock;
}

export interface OutboxPublish extends PublishOptions {
  /** What waits under the same key is replaced: of a state, the newest alone is of use. */
  readonly replaces?: string;
}

const headSchema = z.strictObject({
  topic: z.string().max(512),
  lane: z.enum(LANES),
  replaces: z.string().max(512).optional(),
});

interface Waiting extends z.infer<typeof headSchema> {
  readonly number: number;
  readonly bytes: number;
  /** Being written, or written; undefined once read back from a folder. */
  payload: Uint8Array | undefined;
  written: Promise<void>;
}

const DEFAULT_LIMITS: OutboxLimits = { maxNormal: 10_000, maxEmergency: 1_024, maxBytes: 64 * 1024 * 1024 };
const NAME = /^(\d{15})\.message$/;
const MAX_HEAD_BYTES = 2_048;
const MAX_FILE_BYTES = 4 * 1024 * 1024;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 2_000;
/** Messages on their way to the bus at once. */
const MAX_UNDERWAY = 64;

export class Outbox {
  readonly #options: OutboxOptions;
  readonly #limits: OutboxLimits;
  readonly #clock: Clock;
  readonly #lanes: Readonly<Record<MessageLane, Map<number, Waiting>>> = {
    emergency: new Map(),
    normal: new Map(),
  };
  #numbers = 0;
  #bytes = 0;
  #draining: Promise<void> | undefined;
  #pauseMs = FIRST_PAUSE_MS;
  /** Messages that are sent without waiting for each other. */
  #atOnce = MAX_UNDERWAY;
  #timer: Timer | undefined;
  #closed = false;

  /** Takes up what an earlier process left. Rejects with KasminaError `io` where the folder cannot be used. */
  static async open(options: OutboxOptions): Promise<Outbox> {
    await makeFolder(options.folder);
    const outbox = new Outbox(options);
    for (const name of [...(await namesIn(options.folder))].sort()) await outbox.#takeUp(name);
    outbox.wake();
    return outbox;
  }

  private constructor(options: OutboxOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const { maxNormal, maxEmergency, maxBytes } = { ...DEFAULT_LIMITS, ...options };
    this.#limits = { maxNormal, maxEmergency, maxBytes };
  }

  /** Messages that wait. */
  get waiting(): number {
    return this.#lanes.emergency.size + this.#lanes.normal.size;
  }

  /**
   * Resolves when the bus has the message, or the disk.
   * Rejects with KasminaError `overloaded` where the emergency lane is full, `io` where the disk does not take it,
   * `invalid_argument` where the bus never would.
   */
  async publish(topic: string, payload: Uint8Array, options: OutboxPublish = {}): Promise<void> {
    if (this.#closed) throw new KasminaError("canceled", "the outbox is closed");
    const { lane = "normal", replaces } = options;
    const { bus } = this.#options;
    if (this.#lanes[lane].size === 0 && bus.isUp !== false) {
      const sent = await bus.publish(topic, payload, { lane }).catch(unlessAway);
      if (sent !== undefined) return;
    }
    await this.#store({ topic, lane, ...(replaces !== undefined && { replaces }) }, payload);
    this.wake();
  }

  /** The bus may be there again: tries at once. */
  wake(): void {
    this.#pauseMs = FIRST_PAUSE_MS;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#drain();
  }

  /** Sends nothing more; what waits stays in the folder for the next process. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#draining;
    await Promise.allSettled(
      LANES.flatMap((lane) => [...this.#lanes[lane].values()].map(({ written }) => written)),
    );
  }

  async #store(head: z.infer<typeof headSchema>, payload: Uint8Array): Promise<void> {
    const line = utf8(`${JSON.stringify(head)}\n`);
    const bytes = line.length + payload.length;
    this.#makeRoom(head, bytes);
    const file = new Uint8Array(bytes);
    file.set(line);
    file.set(payload, line.length);
    const number = ++this.#numbers;
    const written = writeFileAtomically(this.#pathOf(number), file);
    const waiting: Waiting = { ...head, number, bytes, payload: payload.slice(), written };
    this.#add(waiting);
    try {
      await written;
    } catch (error) {
      this.#forget(waiting);
      throw KasminaError.from(error, "io");
    }
    // It is on the disk: memory is for what is under way.
    waiting.payload = undefined;
  }

  #makeRoom({ lane, replaces }: z.infer<typeof headSchema>, bytes: number): void {
    const { maxNormal, maxEmergency, maxBytes } = this.#limits;
    const normal = this.#lanes.normal;
    if (replaces !== undefined)
      for (const each of this.#lanes[lane].values()) if (each.replaces === replaces) this.#remove(each);
    let dropped = 0;
    const tooMany = (): boolean =>
      (lane === "normal" && normal.size >= maxNormal) || this.#bytes + bytes > maxBytes;
    for (const oldest of normal.values()) {
      if (!tooMany()) break;
      this.#remove(oldest);
      dropped++;
    }
    if (dropped > 0) this.#options.onDropped?.(dropped, "the outbox is full");
    const full = this.#lanes.emergency.size >= maxEmergency || this.#bytes + bytes > maxBytes;
    if (lane === "emergency" && full)
      throw new KasminaError("overloaded", "the outbox of the emergency lane is full");
    if (lane === "normal" && this.#bytes + bytes > maxBytes)
      throw new KasminaError("overloaded", "the outbox is full");
  }

  #drain(): void {
    this.#draining ??= this.#sendAll().finally(() => {
      this.#draining = undefined;
      if (this.#closed || this.waiting === 0) return;
      this.#timer = this.#clock.setTimer(() => this.#drain(), this.#pauseMs);
      this.#pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * this.#pauseMs);
    });
  }

  /** Until nothing waits, or the bus does not take some of them. */
  async #sendAll(): Promise<void> {
    for (let next = this.#next(); next.length > 0 && !this.#closed; next = this.#next()) {
      if (this.#options.bus.isUp === false) return;
      const payloads = await Promise.all(next.map((waiting) => this.#payloadOf(waiting)));
      const taken = await Promise.all(next.map((waiting, at) => this.#sendOne(waiting, payloads[at])));
      // What timed out may have been taken all the same, and is sent again: one at a time, until one is taken.
      const areTaken = !taken.includes(false);
      this.#atOnce = areTaken ? MAX_UNDERWAY : 1;
      if (!areTaken) return;
    }
  }

  /** Several at once, of one lane: one after the other they would leave more slowly than a quick trainer makes new ones. */
  #next(): readonly Waiting[] {
    for (const lane of LANES) {
      const first: Waiting[] = [];
      for (const waiting of this.#lanes[lane].values()) {
        if (first.length === this.#atOnce) break;
        first.push(waiting);
      }
      if (first.length > 0) return first;
    }
    return [];
  }

  async #payloadOf(waiting: Waiting): Promise<Uint8Array | undefined> {
    await waiting.written.catch(() => undefined);
    return waiting.payload ?? (await this.#readBack(waiting));
  }

  /** @returns false where it must wait */
  async #sendOne(waiting: Waiting, payload: Uint8Array | undefined): Promise<boolean> {
    if (payload === undefined) this.#options.onDropped?.(1, "its file is gone or damaged");
    else if (!(await this.#send(waiting, payload))) return false;
    this.#remove(waiting);
    return true;
  }

  /** @returns false where it must wait */
  async #send({ topic, lane }: Waiting, payload: Uint8Array): Promise<boolean> {
    try {
      return (await this.#options.bus.publish(topic, payload, { lane }).catch(unlessAway)) !== undefined;
    } catch (error) {
      if (error instanceof KasminaError && error.code === "canceled") return false;
      this.#options.onDropped?.(1, KasminaError.from(error).message);
      return true;
    }
  }

  async #readBack({ number }: Waiting): Promise<Uint8Array | undefined> {
    const file = await readRegularIfThere(this.#pathOf(number), { maxBytes: MAX_FILE_BYTES });
    return file && split(file)?.payload;
  }

  async #takeUp(name: string): Promise<void> {
    const number = Number(NAME.exec(name)?.[1] ?? Number.NaN);
    if (Number.isNaN(number)) return;
    this.#numbers = Math.max(this.#numbers, number);
    const file = await readRegularIfThere(this.#pathOf(number), { maxBytes: MAX_FILE_BYTES });
    const message = file && split(file);
    if (file && message)
      this.#add({
        ...message.head,
        number,
        bytes: file.length,
        payload: undefined,
        written: Promise.resolve(),
      });
    else this.#options.onDropped?.(1, `${name} in the outbox is no message`);
  }

  #add(waiting: Waiting): void {
    this.#lanes[waiting.lane].set(waiting.number, waiting);
    this.#bytes += waiting.bytes;
  }

  #forget(waiting: Waiting): void {
    if (this.#lanes[waiting.lane].delete(waiting.number)) this.#bytes -= waiting.bytes;
  }

  #remove(waiting: Waiting): void {
    this.#forget(waiting);
    void waiting.written.catch(() => undefined).then(() => removeFile(this.#pathOf(waiting.number)));
  }

  #pathOf(number: number): string {
    return join(this.#options.folder, `${String(number).padStart(15, "0")}.message`);
  }
}

/** What the bus may take later; everything else is thrown on. */
function unlessAway(error: unknown): undefined {
  if (error instanceof KasminaError && (error.code === "unavailable" || error.code === "overloaded"))
    return undefined;
  throw error;
}

function split(file: Uint8Array): { head: z.infer<typeof headSchema>; payload: Uint8Array } | undefined {
  const end = file.subarray(0, MAX_HEAD_BYTES).indexOf(0x0a);
  if (end < 0) return undefined;
  try {
    const head = headSchema.parse(JSON.parse(new TextDecoder().decode(file.subarray(0, end))));
    return { head, payload: file.slice(end + 1) };
  } catch {
    return undefined;
  }
}
