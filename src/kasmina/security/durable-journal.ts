/**
 * The journal as a file: one line a commit, `<digest> <json>\n`, the digest being the first 16 hex digits of the JSON's
 * SHA-256. A commit is one write and one sync, so a crash can tear the last line only: it is cut off on opening, and
 * what it held was never acknowledged. A bad line before the last is damage and refused.
 *
 * Compaction moves records that nothing needs any more into a history file beside it, which a replay reads; the order
 * (history synced, then the journal replaced) means a crash in between repeats records and loses none.
 */
import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import { sha256Hex, utf8 } from "../../base/bytes.js";
import { KasminaError, messageOf } from "../../base/errors.js";
import { fromJsonText, toJsonText } from "../../base/json.js";
import { type FetchResult, IndexedJournal, type JournalRecord } from "./journal.js";

/** Where the bytes are. Every method is done when it returns; `sync` makes what was appended durable. */
export interface JournalStorage {
  read(): Uint8Array;
  append(bytes: Uint8Array): void;
  sync(): void;
  truncate(length: number): void;
  /** Replaces the whole content, atomically and durably. */
  replace(bytes: Uint8Array): void;
  readHistory(): Uint8Array;
  /** Appends to the history, durably. */
  appendHistory(bytes: Uint8Array): void;
  close(): void;
}

/** One line of the file. */
interface Frame {
  readonly records: readonly JournalRecord[];
  /** Fetch results, under the name that they have had on disk from the start. Left out where there are none. */
  readonly verdicts?: readonly FetchResult[];
  /** Of records that were compacted away. */
  readonly floorMs?: number;
  readonly lastSequence?: number;
}

export class DurableJournal extends IndexedJournal {
  readonly #storage: JournalStorage;
  #pending: JournalRecord[] = [];
  #pendingResults: FetchResult[] = [];
  #failed = false;

  /**
   * Reads what is there and cuts off a torn tail.
   * @throws KasminaError `corrupt` for damage before the last line, `io` where the storage cannot be read
   */
  constructor(storage: JournalStorage) {
    super();
    this.#storage = storage;
    const bytes = guarded(() => storage.read());
    const { frames, soundBytes } = decodeFrames(bytes);
    if (soundBytes < bytes.length) guarded(() => storage.truncate(soundBytes));
    for (const frame of frames) this.#load(frame);
  }

  override append(record: JournalRecord): void {
    super.append(record);
    this.#pending.push(record);
  }

  override appendFetchResult(result: FetchResult): void {
    super.appendFetchResult(result);
    this.#pendingResults.push(result);
  }

  commit(): void {
    if (this.#pending.length === 0 && this.#pendingResults.length === 0) return;
    if (this.#failed)
      throw new KasminaError("io", "the command journal failed before; the run must be resumed");
    this.#failed = true;
    guarded(() => {
      this.#storage.append(encodeFrame({ records: this.#pending, verdicts: this.#pendingResults }));
      this.#storage.sync();
    });
    this.#pending = [];
    this.#pendingResults = [];
    this.#failed = false;
  }

  compact(beforeSequence: number, beforeMs: number): void {
    this.commit();
    const dropped = this.index.drop(beforeSequence, beforeMs);
    if (dropped.length === 0) return;
    const head = { lastSequence: this.lastSequence, ...(this.floorMs > 0 && { floorMs: this.floorMs }) };
    guarded(() => {
      this.#storage.appendHistory(encodeFrame({ records: dropped }));
      this.#storage.replace(encodeFrame({ ...head, records: this.records, verdicts: this.fetchResults }));
    });
  }

  /** Every record ever, compacted ones included, in order: what a replay does again. */
  history(): readonly JournalRecord[] {
    const past = decodeFrames(guarded(() => this.#storage.readHistory())).frames;
    const all = [...past.flatMap((frame) => frame.records), ...this.records];
    return [...new Map(all.map((record) => [record.sequence, record])).values()].sort(
      (a, b) => a.sequence - b.sequence,
    );
  }

  close(): void {
    guarded(() => this.#storage.close());
  }

  #load(frame: Frame): void {
    this.index.startAfter(frame.lastSequence ?? 0);
    this.index.raiseFloor(frame.floorMs ?? Number.NEGATIVE_INFINITY);
    for (const record of frame.records) this.index.add(record);
    for (const result of frame.verdicts ?? []) this.index.addFetchResult(result);
  }
}

function guarded<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof KasminaError && error.code !== "io") throw error;
    throw new KasminaError("io", `command journal: ${messageOf(error)}`, { cause: error });
  }
}

const DIGEST_CHARS = 16;
const NEWLINE = 0x0a;

function digestOf(json: string): string {
  return sha256Hex(json).slice(0, DIGEST_CHARS);
}

function encodeFrame({ records, verdicts = [], ...head }: Frame): Uint8Array {
  const json = toJsonText({
    ...head,
    records: records.map((record) => ({ ...record, payload: base64Encode(record.payload) })),
    ...(verdicts.length > 0 && { verdicts }),
  });
  return utf8(`${digestOf(json)} ${json}\n`);
}

function decodeFrames(bytes: Uint8Array): { readonly frames: readonly Frame[]; readonly soundBytes: number } {
  const frames: Frame[] = [];
  let start = 0;
  while (start < bytes.length) {
    const end = bytes.indexOf(NEWLINE, start);
    const frame = end < 0 ? undefined : decodeFrame(bytes.subarray(start, end));
    if (!frame) {
      if (end >= 0 && end < bytes.length - 1)
        throw new KasminaError("corrupt", `the command journal is damaged at byte ${start}`);
      break;
    }
    frames.push(frame);
    start = end + 1;
  }
  return { frames, soundBytes: start };
}

function decodeFrame(line: Uint8Array): Frame | undefined {
  const text = new TextDecoder().decode(line);
  const json = text.slice(DIGEST_CHARS + 1);
  if (text.slice(0, DIGEST_CHARS) !== digestOf(json)) return undefined;
  const frame = fromJsonText(json) as Omit<Frame, "records"> & {
    records: (JournalRecord & { payload: string })[];
  };
  return {
    ...frame,
    records: frame.records.map((record) => ({ ...record, payload: base64Decode(record.payload) })),
  };
}
