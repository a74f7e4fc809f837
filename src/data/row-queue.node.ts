/**
 * Rows of a file, read in a thread of their own before they are needed: training asks for the batches to come, and takes each when its
 * step comes. The thread and training meet in shared memory alone, so that taking a batch needs no turn of the event loop.
 */
import { Worker } from "node:worker_threads";
import { KasminaError } from "../base/errors.js";
import type { RowQueue } from "../contracts/dataset.js";

/** Batches that are read ahead: a slow read is hidden behind so many steps. */
const DEPTH = 8;
/** A disk that answers no sooner is taken for gone. */
const PATIENCE_MS = 60_000;
/** Words of the control block: batches asked for, batches read, and whether reading failed. */
const [ASKED, READ, FAILED, WORDS] = [0, 1, 2, 3] as const;

/** What the thread is given. */
interface Job {
  readonly descriptor: number;
  /** In the file, of the first row. */
  readonly position: number;
  readonly rowBytes: number;
  readonly rows: number;
  readonly depth: number;
  readonly control: Int32Array;
  /** `depth` × `rows` row numbers. */
  readonly numbers: Int32Array;
  /** `depth` × `rows` × `rowBytes`. */
  readonly bytes: Uint8Array;
}

/** What runs in the thread, as text: it may use nothing from outside itself. */
function serve(job: Job, { readSync }: Pick<typeof import("node:fs"), "readSync">): void {
  const { descriptor, position, rowBytes, rows, depth, control, numbers, bytes } = job;
  const read = (place: number): void => {
    const row = numbers[place] ?? 0;
    let at = 0;
    while (at < rowBytes) {
      const from = position + row * rowBytes + at;
      const count = readSync(descriptor, bytes, place * rowBytes + at, rowBytes - at, from);
      if (count === 0) throw new Error("the file has ended");
      at += count;
    }
  };
  for (let done = 0; ; done++) {
    while (Atomics.load(control, 0) === done) Atomics.wait(control, 0, done);
    const slot = done % depth;
    try {
      for (let row = 0; row < rows; row++) read(slot * rows + row);
    } catch {
      Atomics.store(control, 2, 1);
    }
    Atomics.store(control, 1, done + 1);
    Atomics.notify(control, 1);
  }
}

const PROGRAM = `const { workerData } = require("node:worker_threads");
const { readSync } = require("node:fs");
(${serve.toString()})(workerData, { readSync });`;

export interface StoredRows {
  readonly descriptor: number;
  /** Of the first row, in bytes. */
  readonly position: number;
  /** Float32 values of a row. */
  readonly width: number;
  /** Names them in errors. */
  readonly name: string;
}

/** Until it is closed it keeps its thread, which does not keep the process alive. */
export class ThreadRowQueue implements RowQueue {
  readonly depth = DEPTH;
  readonly #rows: number;
  readonly #name: string;
  readonly #control: Int32Array;
  readonly #numbers: Int32Array;
  readonly #values: Float32Array;
  readonly #thread: Worker;
  #taken = 0;

  /** @param rows of a batch */
  constructor({ descriptor, position, width, name }: StoredRows, rows: number) {
    this.#rows = rows;
    this.#name = name;
    const rowBytes = width * Float32Array.BYTES_PER_ELEMENT;
    this.#control = new Int32Array(new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT));
    this.#numbers = new Int32Array(new SharedArrayBuffer(DEPTH * rows * Int32Array.BYTES_PER_ELEMENT));
    const shared = new SharedArrayBuffer(DEPTH * rows * rowBytes);
    this.#values = new Float32Array(shared);
    const job: Job = {
      ...{ descriptor, position, rowBytes, rows },
      depth: DEPTH,
      control: this.#control,
      numbers: this.#numbers,
      bytes: new Uint8Array(shared),
    };
    // It reads into memory that is there already: of a heap it needs next to nothing.
    const resourceLimits = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1 };
    this.#thread = new Worker(PROGRAM, { eval: true, workerData: job, resourceLimits });
    this.#thread.on("error", () => Atomics.store(this.#control, FAILED, 1));
    this.#thread.unref();
  }

  ask(rows: Int32Array): void {
    const asked = Atomics.load(this.#control, ASKED);
    if (asked - this.#taken >= DEPTH) throw new RangeError(`${DEPTH} batches may wait to be taken`);
    this.#numbers.set(rows, (asked % DEPTH) * this.#rows);
    Atomics.store(this.#control, ASKED, asked + 1);
    Atomics.notify(this.#control, ASKED);
  }

  take(): Float32Array {
    if (this.#taken === Atomics.load(this.#control, ASKED)) throw new RangeError("no batch was asked for");
    this.#waitFor(this.#taken + 1);
    const size = this.#values.length / DEPTH;
    const start = (this.#taken++ % DEPTH) * size;
    return this.#values.subarray(start, start + size);
  }

  clear(): void {
    const asked = Atomics.load(this.#control, ASKED);
    this.#waitFor(asked);
    this.#taken = asked;
  }

  async close(): Promise<void> {
    await this.#thread.terminate();
  }

  /** Until so many batches have been read. */
  #waitFor(batches: number): void {
    for (;;) {
      const read = Atomics.load(this.#control, READ);
      if (Atomics.load(this.#control, FAILED) === 1) throw this.#failed("cannot be read");
      if (read >= batches) return;
      if (Atomics.wait(this.#control, READ, read, PATIENCE_MS) === "timed-out")
        throw this.#failed(`did not come within ${PATIENCE_MS / 1_000} s`);
    }
  }

  #failed(what: string): KasminaError {
    return new KasminaError("io", `${this.#name}: rows that were written to disk ${what}`);
  }
}
