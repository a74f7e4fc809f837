/**
 * The nonces of accepted commands (docs/architecture.md, "Command security"), bounded in number and age.
 *
 * What makes it safe is the **floor**: whenever a nonce is dropped, for whatever reason, the floor rises to its
 * `issued_at`, and commands issued at or before the floor are stale. So a command once accepted is never accepted
 * again. Expired nonces raise the floor too: their commands are stale by age anyway, and stay so when somebody
 * turns the wall clock back.
 *
 * Each **incarnation** of the run (each start, each reset) begins with a floor of its own: a command that names this one was accepted
 * by none before it, whatever the clock said then. So a folder that was put back, and has forgotten what it did since, takes none of
 * those commands again, and a reset under a clock that was ahead locks nobody out.
 *
 * Nonces stand in buckets of one second of `issued_at`. Recording and dropping one touches that one entry, however
 * many there are; the sorted list of buckets is as long as the TTL in seconds at most.
 */
import type { Clock, Timer } from "../../base/clock.js";

const BUCKET_MS = 1_000;
/** Places beyond the capacity that only emergencies may take: whoever fills the ledger does not crowd them out. */
const RESERVED = 100;

/** A nonce as it came. */
export interface Claim {
  /** 32 hex digits. */
  readonly nonce: string;
  readonly issuedAtMs: number;
  /** Who signed. */
  readonly keyId: string;
}

interface Bucket {
  readonly second: number;
  readonly entries: Claim[];
  /** Entries before this index are dropped. */
  head: number;
}

export interface NonceLedgerOptions {
  readonly ttlMs: number;
  readonly capacity: number;
  readonly cleanupMs: number;
  readonly clock: Clock;
  /** The name of an incarnation, never the same twice. */
  readonly newIncarnation: () => string;
  /** Called whenever nonces that had not expired are dropped. */
  readonly onTruncated?: (truncation: LedgerTruncation) => void;
}

export interface LedgerTruncation {
  readonly cause: "capacity" | "reset";
  readonly dropped: number;
  readonly floorMs: number;
}

/** What a claim may take. */
export interface Quota {
  /** Nonces of its key that the ledger may hold. */
  readonly ofKey: number;
  /** Whether it may also take one of the places that are kept for emergencies. Default false. */
  readonly reserve?: boolean;
}

export class NonceLedger {
  readonly #options: NonceLedgerOptions;
  readonly #buckets: Bucket[] = [];
  readonly #bucketOf = new Map<string, Bucket>();
  readonly #heldBy = new Map<string, number>();
  #floorMs = Number.NEGATIVE_INFINITY;
  #incarnation = "";
  #incarnationFloorMs = Number.NEGATIVE_INFINITY;
  #evictions = 0;
  #touched = 0;
  #timer: Timer | undefined;

  constructor(options: NonceLedgerOptions) {
    this.#options = options;
    this.beginIncarnation();
  }

  /** Commands issued at or before this moment are stale; −Infinity at first. */
  get floorMs(): number {
    return this.#floorMs;
  }

  get incarnation(): string {
    return this.#incarnation;
  }

  /** The same for commands that name this incarnation of the run. */
  get incarnationFloorMs(): number {
    return this.#incarnationFloorMs;
  }

  get capacity(): number {
    return this.#options.capacity;
  }

  /** From now on commands that name another incarnation are not for this one. */
  beginIncarnation(): void {
    this.#incarnation = this.#options.newIncarnation();
    this.#incarnationFloorMs = Number.NEGATIVE_INFINITY;
  }

  get size(): number {
    return this.#bucketOf.size;
  }

  /** Live nonces dropped because the ledger was full. */
  get evictions(): number {
    return this.#evictions;
  }

  /** Entries read or written so far: the measure of work, which must not grow with the size. */
  get touched(): number {
    return this.#touched;
  }

  has(nonce: string): boolean {
    this.#touched++;
    return this.#bucketOf.has(nonce);
  }

  /**
   * Remembers a nonce; `known` where the ledger has it already. Makes room first where it is full; `full` where it could only do so
   * by forgetting a command dated ahead of now: then the floor would lie ahead too, and make every honest command stale. `full` too
   * where the key has all that it may: nothing is forgotten for it.
   */
  claim(claim: Claim, { ofKey, reserve = false }: Quota): "claimed" | "known" | "full" {
    if (this.has(claim.nonce)) return "known";
    const more = reserve ? RESERVED : 0;
    if (!this.#mayHold(claim.keyId, ofKey + more)) return "full";
    if (!this.#makeRoom(this.#options.capacity + more, this.#options.clock.nowMs())) return "full";
    this.#add(claim);
    return "claimed";
  }

  /** Remembers the nonce of a command that was accepted earlier, whatever has to be forgotten for it. */
  restore(claim: Claim): void {
    if (this.#bucketOf.has(claim.nonce)) return;
    this.#makeRoom(this.#options.capacity, Number.POSITIVE_INFINITY);
    this.#add(claim);
  }

  #add({ nonce, keyId, issuedAtMs }: Claim): void {
    const bucket = this.#bucketAt(Math.floor(issuedAtMs / BUCKET_MS));
    bucket.entries.push({ nonce, keyId, issuedAtMs });
    this.#bucketOf.set(nonce, bucket);
    this.#heldBy.set(keyId, (this.#heldBy.get(keyId) ?? 0) + 1);
  }

  #mayHold(keyId: string, count: number): boolean {
    if ((this.#heldBy.get(keyId) ?? 0) < count) return true;
    this.cleanup();
    return (this.#heldBy.get(keyId) ?? 0) < count;
  }

  /** Drops what has expired. */
  cleanup(): void {
    const expiredSecond = Math.floor((this.#options.clock.nowMs() - this.#options.ttlMs) / BUCKET_MS);
    for (let oldest = this.#buckets[0]; oldest && oldest.second < expiredSecond; oldest = this.#buckets[0]) {
      while (oldest.head < oldest.entries.length) this.#dropFirst(oldest);
      this.#buckets.shift();
    }
  }

  /** Forgets everything; the floor rises to now, and above everything forgotten. Another incarnation of the run begins. */
  reset(): void {
    const dropped = this.size;
    for (const bucket of this.#buckets) while (bucket.head < bucket.entries.length) this.#dropFirst(bucket);
    this.#buckets.length = 0;
    this.raiseFloor(this.#options.clock.nowMs());
    this.beginIncarnation();
    if (dropped > 0) this.#options.onTruncated?.({ cause: "reset", dropped, floorMs: this.#floorMs });
  }

  /** Never lowers it. */
  raiseFloor(toMs: number): void {
    this.#floorMs = Math.max(this.#floorMs, toMs);
    this.#incarnationFloorMs = Math.max(this.#incarnationFloorMs, toMs);
  }

  /** Cleans up every `cleanupMs`, on a timer that does not keep the process alive. */
  start(): void {
    this.close();
    this.#timer = this.#options.clock.setTimer(() => {
      this.cleanup();
      this.start();
    }, this.#options.cleanupMs);
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Whether there are fewer nonces than `capacity`, once the oldest of those issued until `untilMs` have been dropped. */
  #makeRoom(capacity: number, untilMs: number): boolean {
    if (this.size < capacity) return true;
    this.cleanup();
    while (this.size >= capacity) {
      const [oldest] = this.#buckets;
      if (!oldest || (oldest.entries[oldest.head]?.issuedAtMs ?? 0) > untilMs) return false;
      this.#dropFirst(oldest);
      this.#evictions++;
      if (oldest.head === oldest.entries.length) this.#buckets.shift();
      this.#options.onTruncated?.({ cause: "capacity", dropped: 1, floorMs: this.#floorMs });
    }
    return true;
  }

  #dropFirst(bucket: Bucket): void {
    const entry = bucket.entries[bucket.head++];
    if (!entry) return;
    this.#touched++;
    this.#bucketOf.delete(entry.nonce);
    this.#heldBy.set(entry.keyId, (this.#heldBy.get(entry.keyId) ?? 1) - 1);
    this.raiseFloor(entry.issuedAtMs);
  }

  /** Commands come nearly in order, so the search from the end is short. */
  #bucketAt(second: number): Bucket {
    let at = this.#buckets.length;
    while (at > 0 && (this.#buckets[at - 1]?.second ?? 0) > second) at--;
    const found = this.#buckets[at - 1];
    if (found?.second === second) return found;
    const bucket: Bucket = { second, entries: [], head: 0 };
    this.#buckets.splice(at, 0, bucket);
    return bucket;
  }
}
