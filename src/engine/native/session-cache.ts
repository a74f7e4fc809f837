/** Compiled sessions by the digest of their model: programs of equal structure share one, and topologies come back. */
import type { InferenceSession } from "onnxruntime-node";
import type { BackendStats } from "../backend.js";
import type { LoweredProgram } from "../trace.js";

/** Sessions kept for topologies that come back; those that no program uses are closed beyond it, the least recently used first. */
const MAX_CACHED_SESSIONS = 32;
/**
 * Bytes of the values in the programs of idle sessions that are kept: a session holds what its runs needed, 17 MB of 24 MB in a step of
 * `resmlp:width=128,blocks=3` on 512 rows, and to make one again takes some 20 ms, however much it holds.
 */
const MAX_IDLE_VALUE_BYTES = 32 * 2 ** 20;

/** A session in use. */
export interface Lease {
  readonly session: InferenceSession;
  /** Of the program that the session was made for. */
  readonly lowered: LoweredProgram;
  /** Says, once, that the session is not used any more. */
  readonly release: () => void;
}

interface Entry {
  readonly lowered: LoweredProgram;
  readonly session: Promise<InferenceSession>;
  users: number;
}

export class SessionCache {
  #compiled = 0;
  #cacheHits = 0;
  /** By the model's digest, the least recently used first. */
  readonly #entries = new Map<string, Entry>();

  get stats(): BackendStats {
    return { compiled: this.#compiled, cacheHits: this.#cacheHits };
  }

  /** The session of a program, by `create` where there is none yet. What `create` rejects with is not kept. */
  async lease(lowered: LoweredProgram, create: () => Promise<InferenceSession>): Promise<Lease> {
    const entry = this.#entryFor(lowered, create);
    entry.users++;
    this.#evict(); // only now: an entry without a user would be closed under the program that is to use it
    try {
      const session = await entry.session;
      const release = () => {
        entry.users--;
        this.#use(lowered.digest, entry);
        this.#evict();
      };
      return { session, lowered: entry.lowered, release };
    } catch (error) {
      this.#entries.delete(lowered.digest);
      throw error;
    }
  }

  async dispose(): Promise<void> {
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    await Promise.all(entries.map(close));
  }

  #entryFor(lowered: LoweredProgram, create: () => Promise<InferenceSession>): Entry {
    const known = this.#entries.get(lowered.digest);
    if (known) {
      this.#cacheHits++;
      this.#use(lowered.digest, known);
      return known;
    }
    this.#compiled++;
    const entry = { lowered, session: create(), users: 0 };
    this.#entries.set(lowered.digest, entry);
    return entry;
  }

  /** It is the most recently used now, where it is still kept. */
  #use(digest: string, entry: Entry): void {
    if (this.#entries.get(digest) !== entry) return;
    this.#entries.delete(digest);
    this.#entries.set(digest, entry);
  }

  #evict(): void {
    const unused = [...this.#entries].filter(([, { users }]) => users === 0);
    const isTooLarge = ([, { lowered }]: (typeof unused)[number]): boolean =>
      lowered.valueBytes > MAX_IDLE_VALUE_BYTES;
    // What is too large by itself makes no room by the others' going.
    const idle = [...unused.filter(isTooLarge), ...unused.filter((one) => !isTooLarge(one))];
    let bytes = idle.reduce((sum, [, { lowered }]) => sum + lowered.valueBytes, 0);
    for (const [digest, entry] of idle) {
      if (this.#entries.size <= MAX_CACHED_SESSIONS && bytes <= MAX_IDLE_VALUE_BYTES) return;
      bytes -= entry.lowered.valueBytes;
      this.#entries.delete(digest);
      void close(entry);
    }
  }
}

async function close(entry: Entry): Promise<void> {
  const session = await entry.session.catch(() => undefined);
  await session?.release();
}
