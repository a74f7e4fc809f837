/**
 * The journal as a file of sealed lines ({@link FrameChain}), one a commit. A commit is one write and one sync, so a crash can tear
 * the last line only: it is cut off on opening, and what it held was never acknowledged. A last line that is whole and bears no
 * seal of ours is not torn but forged, and refused like damage before it.
 *
 * Compaction moves records that nothing needs any more into a history file beside it, which a replay reads; the order
 * (history synced, then the journal replaced) means a crash in between repeats records and loses none.
 */
import { KasminaError } from "../../base/errors.js";
import type { KeyRing } from "../../contracts/key-ring.js";
import { Sealer } from "../../contracts/seal.js";
import { type FetchResult, IndexedJournal, type JournalRecord } from "./journal.js";
import {
  corrupt,
  type Frame,
  FrameChain,
  isOldJournal,
  JOURNAL_FORMAT,
  type JournalHead,
  journalError,
} from "./journal-frames.js";

/** Where the bytes are. Every method is done when it returns; `sync` makes what was appended durable. */
export interface JournalStorage {
  read(): Uint8Array;
  append(bytes: Uint8Array): void;
  sync(): void;
  truncate(length: number): void;
  /** Replaces the whole content by these parts, atomically and durably. */
  replace(parts: Iterable<Uint8Array>): void;
  readHistory(): Uint8Array;
  /** Appends to the history, durably. */
  appendHistory(bytes: Uint8Array): void;
  close(): void;
}

export interface JournalOptions {
  /** What it is sealed with, and what the commands in it are signed with. */
  readonly keys: KeyRing;
  /** The run whose journal it is: another's is refused. */
  readonly trainingRunId: string;
  /** SHA-256 of what the run was asked for, which the journal then vouches for. */
  readonly about?: string;
  /** For looking alone: nothing is cut off. Default false. */
  readonly readOnly?: boolean;
  /** The last command that a run which begins with this journal has behind it. Default 0. */
  readonly startAfter?: number;
}

/** How far a journal had come: a checkpoint bears it, so that lines missing at the end are missed. */
export interface JournalMark {
  readonly lastSequence: number;
  readonly fetchResults: number;
}

/** Of one line that compaction writes: records up to 64 KiB each would else make one string of hundreds of megabytes. */
const FRAME_RECORDS = 16;

export class DurableJournal extends IndexedJournal {
  readonly #storage: JournalStorage;
  readonly #options: JournalOptions;
  readonly #sealer: Sealer;
  #chain: FrameChain;
  #history: FrameChain | undefined;
  #head: JournalHead;
  #pending: JournalRecord[] = [];
  #pendingResults: FetchResult[] = [];
  #failed = false;

  /**
   * Reads what is there, checks it, and cuts off a torn tail.
   * @throws KasminaError `corrupt` for damage, for lines that were forged, dropped, repeated or moved, for a key that is not
   * here; `io` where the storage cannot be read
   */
  constructor(storage: JournalStorage, options: JournalOptions) {
    super();
    this.#storage = storage;
    this.#options = options;
    this.#sealer = new Sealer(options.keys, options.trainingRunId);
    this.#chain = this.#newChain("kasmina.journal.v1");
    this.#head = this.#newHead();
    this.index.startAfter(options.startAfter ?? 0);
    this.#read();
  }

  /** As far as it is durable. */
  get mark(): JournalMark {
    const [first] = this.#pending;
    return {
      lastSequence: first ? first.sequence - 1 : this.lastSequence,
      fetchResults: this.fetchResults.length - this.#pendingResults.length,
    };
  }

  /** Makes the journal itself durable before there is a command in it. */
  begin(): void {
    if (this.#chain.count === 0) this.#write({ records: [], verdicts: [] });
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
    this.#write({ records: this.#pending, verdicts: this.#pendingResults });
    this.#pending = [];
    this.#pendingResults = [];
  }

  compact(beforeSequence: number, beforeMs: number): void {
    this.commit();
    const dropped = this.index.drop(beforeSequence, beforeMs);
    if (dropped.length === 0) return;
    const history = this.#openHistory();
    guarded(() => {
      for (const records of parts(dropped)) {
        const first = history.count === 0 && { head: this.#newHead() };
        this.#storage.appendHistory(history.encode({ ...first, records }));
      }
      this.#head = { ...this.#newHead(), history: { frames: history.count, seal: history.seal } };
      const chain = this.#newChain("kasmina.journal.v1");
      this.#storage.replace(this.#encodeAll(chain));
      this.#chain = chain;
    });
  }

  /** Every record ever, compacted ones included, in order: what a replay does again. */
  history(): readonly JournalRecord[] {
    const past: JournalRecord[] = [];
    this.#readHistory((frame) => {
      for (const record of frame.records) past.push(record);
    });
    const all = [...past, ...this.records];
    return [...new Map(all.map((record) => [record.sequence, record])).values()].sort(
      (a, b) => a.sequence - b.sequence,
    );
  }

  close(): void {
    guarded(() => this.#storage.close());
  }

  #read(): void {
    const bytes = guarded(() => this.#storage.read());
    if (isOldJournal(bytes)) throw corrupt("is of an older format, whose commands are not signed");
    const soundBytes = this.#chain.decode(bytes, (frame) => this.#load(frame));
    if (soundBytes < bytes.length && !this.#options.readOnly)
      guarded(() => this.#storage.truncate(soundBytes));
  }

  #load(frame: Frame): void {
    const isFirst = this.#chain.count === 1;
    if (isFirst !== (frame.head !== undefined)) throw corrupt("does not begin as it should");
    if (frame.head) this.#takeHead(frame.head);
    this.index.startAfter(frame.lastSequence ?? 0);
    this.index.raiseFloor(frame.floorMs ?? Number.NEGATIVE_INFINITY);
    for (const record of frame.records) this.#loadRecord(record);
    for (const result of frame.verdicts ?? []) this.index.addFetchResult(result);
  }

  #takeHead(head: JournalHead): void {
    const { about } = this.#options;
    if (about !== undefined && head.about !== about)
      throw corrupt("says that the run was asked for something else: run.json was changed");
    this.#head = head;
  }

  #loadRecord(record: JournalRecord): void {
    const [last] = this.records.slice(-1);
    if (last && record.sequence <= last.sequence) throw corrupt(`repeats command ${record.sequence}`);
    this.index.add(record);
  }

  #write(frame: Frame): void {
    if (this.#failed)
      throw new KasminaError("io", "the command journal failed before; the run must be resumed");
    this.#failed = true;
    const first = this.#chain.count === 0 && { head: this.#head, lastSequence: this.#lastBefore(frame) };
    guarded(() => {
      this.#storage.append(this.#chain.encode({ ...first, ...frame }));
      this.#storage.sync();
    });
    this.#failed = false;
  }

  #lastBefore({ records: [first] }: Frame): number {
    return first ? first.sequence - 1 : this.lastSequence;
  }

  *#encodeAll(chain: FrameChain): Generator<Uint8Array> {
    const { lastSequence, floorMs } = this;
    yield chain.encode({
      head: this.#head,
      lastSequence,
      ...(floorMs > 0 && { floorMs }),
      records: [],
      verdicts: this.fetchResults,
    });
    for (const records of parts(this.records)) yield chain.encode({ records });
  }

  #newHead(): JournalHead {
    const { trainingRunId: run_id, about } = this.#options;
    return {
      format: JOURNAL_FORMAT,
      run_id,
      key_id: this.#sealer.keyId,
      ...(about !== undefined && { about }),
    };
  }

  #newChain(context: "kasmina.journal.v1" | "kasmina.history.v1"): FrameChain {
    const { keys, trainingRunId } = this.#options;
    return new FrameChain(context, this.#sealer, keys, trainingRunId);
  }

  #openHistory(): FrameChain {
    this.#history ??= this.#readHistory(() => undefined);
    return this.#history;
  }

  /** The journal's first line says how far the history goes at least: a crash may have left more of it, and nothing less. */
  #readHistory(visit: (frame: Frame) => void): FrameChain {
    const chain = this.#newChain("kasmina.history.v1");
    const { frames = 0, seal = "" } = this.#head.history ?? {};
    let isWhole = frames === 0;
    chain.decode(
      guarded(() => this.#storage.readHistory()),
      (frame) => {
        if (chain.count === frames) isWhole = chain.seal === seal;
        visit(frame);
      },
    );
    if (!isWhole) throw corrupt("says that lines of its history are missing");
    return chain;
  }
}

function* parts(records: readonly JournalRecord[]): Generator<readonly JournalRecord[]> {
  for (let at = 0; at < records.length; at += FRAME_RECORDS) yield records.slice(at, at + FRAME_RECORDS);
}

function guarded<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw journalError(error);
  }
}
