/** A disk that loses what was not synced, and a machine that dies at a chosen point. */
import type { JournalStorage } from "./durable-journal.js";

/** Thrown where the machine dies; no code may survive it. */
export class PowerCut extends Error {
  constructor() {
    super("power cut");
  }
}

export class CrashStorage implements JournalStorage {
  /** What survives for certain. */
  durable = new Uint8Array();
  /** Written and not synced. */
  volatile = new Uint8Array();
  history = new Uint8Array();
  /** Points passed so far: each byte written, each sync. */
  points = 0;
  /** The machine dies at this point. */
  dieAt = Number.POSITIVE_INFINITY;

  read(): Uint8Array {
    return join(this.durable, this.volatile);
  }

  append(bytes: Uint8Array): void {
    for (const byte of bytes) {
      this.#pass();
      this.volatile = join(this.volatile, Uint8Array.of(byte));
    }
  }

  sync(): void {
    this.#pass();
    this.durable = join(this.durable, this.volatile);
    this.volatile = new Uint8Array();
    this.#pass();
  }

  truncate(length: number): void {
    this.durable = this.read().slice(0, length);
    this.volatile = new Uint8Array();
  }

  replace(parts: Iterable<Uint8Array>): void {
    this.#pass();
    this.durable = [...parts].reduce<Uint8Array<ArrayBuffer>>(join, new Uint8Array());
    this.volatile = new Uint8Array();
    this.#pass();
  }

  readHistory(): Uint8Array {
    return this.history;
  }

  appendHistory(bytes: Uint8Array): void {
    this.#pass();
    this.history = join(this.history, bytes);
    this.#pass();
  }

  close(): void {
    // Nothing is held open.
  }

  /** After the cut: of what was not synced, the disk kept the first `kept` bytes. */
  reboot(kept: number): void {
    this.durable = join(this.durable, this.volatile.slice(0, kept));
    this.volatile = new Uint8Array();
    this.points = 0;
    this.dieAt = Number.POSITIVE_INFINITY;
  }

  #pass(): void {
    if (this.points++ >= this.dieAt) throw new PowerCut();
  }
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
