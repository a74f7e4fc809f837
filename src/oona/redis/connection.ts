/**
 * One connection to Redis that comes back by itself. A command waits for no connection: while there is none it fails at
 * once with `unavailable`, and so does one whose answer was lost. Who sent it knows whether it may be sent again.
 */
import { createHash } from "node:crypto";
import { type Deferred, deferred, KasminaError, messageOf } from "../../base/index.js";
import { type ClientLibrary, type RawClient, type RedisAddress, shownAddress } from "./client.js";

/** A server that gives no answer for so long is given up: it may be frozen, and its socket open for ever. */
const ANSWER_MS = 5_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2_000;
/**
 * Answers that another try may not get, or that another server gives: no rights (any more; within a script Redis 7.0 says so in other
 * words than 7.2), loading, a replica.
 */
const REFUSALS =
  /NOPERM|ACL failure|The user executing the script|NOAUTH|WRONGPASS|READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|NOREPLICAS|MISCONF|OOM |UNKILLABLE/;

export type Argument = string | number | Uint8Array;

/** A Lua script, known to Redis by its digest. */
export class Script {
  readonly text: string;
  readonly sha1: string;

  constructor(text: string) {
    this.text = text;
    this.sha1 = createHash("sha1").update(text).digest("hex");
  }
}

export interface ConnectionOptions {
  readonly library: ClientLibrary;
  readonly address: RedisAddress;
  /** Shown by `CLIENT LIST`. */
  readonly name: string;
  readonly scripts?: readonly Script[];
  /** Called each time it is there again, with the connection usable. */
  readonly onUp?: () => void;
  /** Called when it is lost, once until it is there again. */
  readonly onDown?: (reason: string) => void;
}

export class RedisConnection {
  readonly #options: ConnectionOptions;
  #client: RawClient | undefined;
  /** Not usable yet. */
  #connecting: RawClient | undefined;
  #up: Deferred<void> = deferred();
  /** Tries since one last answered a command. */
  #tries = 0;
  #closed = false;
  #lastProblem = "";
  #reported = false;
  /** When the commands under way were sent, oldest first; the watchdog looks at the first. */
  readonly #underway = new Set<{ readonly sinceMs: number; readonly limitMs: number }>();
  #watchdog: ReturnType<typeof setInterval> | undefined;
  #pause: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#up.promise.catch(() => undefined);
    void this.#connect();
  }

  get isUp(): boolean {
    return this.#client !== undefined;
  }

  /** Why there is no connection. */
  get problem(): string {
    return this.#lastProblem;
  }

  /** Resolves when it is there; rejects with KasminaError `canceled` once closed. */
  whenUp(): Promise<void> {
    return this.#up.promise;
  }

  /**
   * @param waitMs how long the command itself may wait in Redis
   * Rejects with KasminaError `unavailable`, or with what Redis answered.
   */
  async send(args: readonly Argument[], waitMs = 0): Promise<unknown> {
    const client = this.#client;
    if (!client) throw this.#unavailable(this.#lastProblem || "not connected yet");
    const entry = { sinceMs: performance.now(), limitMs: waitMs + ANSWER_MS };
    this.#underway.add(entry);
    try {
      const reply = await client.sendCommand(args.map(encoded));
      this.#tries = 0;
      return reply;
    } catch (error) {
      if (this.#options.library.isReply(error) && !REFUSALS.test(messageOf(error))) throw error;
      this.#lose(client, error);
      throw this.#unavailable(messageOf(error));
    } finally {
      this.#underway.delete(entry);
    }
  }

  /** Runs a script, by its digest where Redis knows it. */
  async run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    const rest = [keys.length, ...keys, ...args];
    try {
      return await this.send(["EVALSHA", script.sha1, ...rest]);
    } catch (error) {
      if (!/NOSCRIPT/.test(messageOf(error))) throw error;
      return this.send(["EVAL", script.text, ...rest]);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#pause);
    clearInterval(this.#watchdog);
    this.#connecting?.destroy();
    this.#client?.destroy();
    this.#client = undefined;
    this.#up.reject(new KasminaError("canceled", "the bus is closed"));
  }

  async #connect(): Promise<void> {
    const { library, address, name, scripts = [], onUp } = this.#options;
    const client = library.create(address, name);
    this.#connecting = client;
    client.on("error", (error) => this.#lose(client, error));
    // While it connects too: a network may drop all that is sent, and a frozen server takes connections and greets nobody.
    const late = setTimeout(() => this.#abandon(client, `no answer for ${ANSWER_MS} ms`), ANSWER_MS);
    try {
      await client.connect();
      for (const { text } of scripts) {
        late.refresh();
        await client.sendCommand(["SCRIPT", "LOAD", text]);
      }
    } catch (error) {
      this.#abandon(client, messageOf(error) || "connection refused");
    } finally {
      clearTimeout(late);
    }
    if (this.#connecting !== client) return;
    this.#connecting = undefined;
    if (this.#closed) {
      client.destroy();
      return;
    }
    this.#client = client;
    this.#reported = false;
    this.#watch();
    this.#up.resolve();
    onUp?.();
  }

  /** Whatever comes of the connection that it began, it is of no use any more. */
  #abandon(client: RawClient, reason: string): void {
    if (this.#connecting !== client) return;
    this.#connecting = undefined;
    client.destroy();
    this.#lastProblem = reason;
    this.#report();
    this.#tryLater();
  }

  #lose(client: RawClient, error: unknown): void {
    if (this.#client !== client || this.#closed) return;
    this.#client = undefined;
    this.#lastProblem = messageOf(error);
    clearInterval(this.#watchdog);
    client.destroy();
    this.#up = deferred();
    this.#up.promise.catch(() => undefined);
    this.#report();
    this.#tryLater();
  }

  #report(): void {
    if (this.#reported || this.#closed) return;
    this.#reported = true;
    this.#options.onDown?.(this.#lastProblem);
  }

  /** Up to twice as long each time, and never all at once: many trainers lose the same Redis. */
  #tryLater(): void {
    if (this.#closed) return;
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#tries++);
    // Keeps the process alive: a service whose Redis is away must not end for want of anything else to do.
    this.#pause = setTimeout(() => void this.#connect(), longest * (0.5 + Math.random() / 2));
  }

  #watch(): void {
    this.#watchdog = setInterval(() => {
      const client = this.#client;
      const nowMs = performance.now();
      const late = [...this.#underway].some(({ sinceMs, limitMs }) => nowMs - sinceMs > limitMs);
      if (client && late) this.#lose(client, new Error(`no answer for ${ANSWER_MS} ms`));
    }, ANSWER_MS / 10);
    this.#watchdog.unref();
  }

  #unavailable(reason: string): KasminaError {
    return new KasminaError("unavailable", `${shownAddress(this.#options.address.url)}: ${reason}`);
  }
}

function encoded(argument: Argument): string | Buffer {
  if (typeof argument === "string") return argument;
  if (typeof argument === "number") return String(argument);
  return Buffer.from(argument.buffer, argument.byteOffset, argument.byteLength);
}
