/**
 * The run's journal (docs/architecture.md, "Determinism"). Of each handled command: what was ordered, at which step it
 * was accepted, and what the outcome was. It answers redeliveries, feeds the nonce ledger after a restart, and lets a
 * run be replayed. Of each kernel that was due: whether it was there, and how fast it is, which nobody could measure
 * again.
 */
import type { ErrorCode } from "../../base/errors.js";
import type { OutcomeStatus } from "../../contracts/names.js";
import type { CommandOutcome } from "../../contracts/ports.js";

export interface JournalRecord {
  /** 1, 2, 3, … in the order of handling. */
  readonly sequence: number;
  readonly busEntry: string;
  readonly commandId: string;
  /** 32 hex digits. */
  readonly nonce: string;
  readonly issuedAtMs: number;
  /** The signed envelope as it came: whoever reads the journal again can check who ordered it. */
  readonly envelope: Uint8Array;
  /** The serialized AdaptationCommand in it: enough to do it again. */
  readonly payload: Uint8Array;
  readonly keyId: string;
  /** Step and epoch at which it was handled. */
  readonly step: number;
  readonly epoch: number;
  readonly acceptedAtMs: number;
  /** The ledger's floor after it; left out where there is none. */
  readonly floorMs?: number;
  readonly outcome: JournaledOutcome;
}

export interface JournaledOutcome {
  readonly status: Exclude<OutcomeStatus, "duplicate">;
  readonly reason: string;
  readonly effectiveStep?: number;
  readonly seedId?: string;
  readonly message?: string;
}

/** What the fetch of a kernel came to, at the step at which it was due; kept for as long as the run, one a germination. */
export interface FetchResult {
  readonly requestId: string;
  readonly step: number;
  readonly found: KernelFound | KernelMissing;
}

export interface KernelFound {
  readonly status: "attached";
  readonly sha256: string;
  readonly prewarmP50Ms: number;
  readonly prewarmP95Ms: number;
  readonly fallbackUsed: boolean;
}

export interface KernelMissing {
  readonly status: "missing";
  readonly code: ErrorCode;
  readonly message: string;
}

/** The part of the journal that remembers kernels. */
export interface FetchJournal {
  readonly fetchResults: readonly FetchResult[];
  fetchResultOf(requestId: string, step: number): FetchResult | undefined;
  /** Takes a fetch result in; it is durable after the next {@link CommandJournal.commit}. */
  appendFetchResult(result: FetchResult): void;
  commit(): void;
}

export interface CommandJournal extends FetchJournal {
  /** The last record's; 0 where there is none. */
  readonly lastSequence: number;
  /** The highest floor ever journaled; −Infinity where there is none. */
  readonly floorMs: number;
  /** Retained records in order, appended ones included. */
  readonly records: readonly JournalRecord[];
  /** The record of a bus entry, appended ones included. */
  find(busEntry: string): JournalRecord | undefined;
  /** The record of a command id, the latest where there are several. */
  findCommand(commandId: string): JournalRecord | undefined;
  /** Takes a record in; it is durable after the next {@link commit}. */
  append(record: JournalRecord): void;
  /**
   * Makes everything appended durable.
   * @throws KasminaError `io` where that fails; the run must not go on then
   */
  commit(): void;
  /**
   * Drops records that nothing needs any more: handled before `beforeSequence` (already in a checkpoint) and issued
   * before `beforeMs` (their nonces have expired). The floor rises above what is dropped.
   */
  compact(beforeSequence: number, beforeMs: number): void;
  close(): void;
}

/** Records and fetch results by what they are asked for by. */
class JournalIndex {
  readonly #byEntry = new Map<string, JournalRecord>();
  readonly #byCommand = new Map<string, JournalRecord>();
  readonly #fetchResults = new Map<string, FetchResult>();
  #records: JournalRecord[] = [];
  #lastSequence = 0;
  #floorMs = Number.NEGATIVE_INFINITY;

  get lastSequence(): number {
    return this.#lastSequence;
  }

  get floorMs(): number {
    return this.#floorMs;
  }

  get records(): readonly JournalRecord[] {
    return this.#records;
  }

  find(busEntry: string): JournalRecord | undefined {
    return this.#byEntry.get(busEntry);
  }

  findCommand(commandId: string): JournalRecord | undefined {
    return this.#byCommand.get(commandId);
  }

  get fetchResults(): readonly FetchResult[] {
    return [...this.#fetchResults.values()];
  }

  fetchResultOf(requestId: string, step: number): FetchResult | undefined {
    return this.#fetchResults.get(fetchKey(requestId, step));
  }

  addFetchResult(result: FetchResult): void {
    this.#fetchResults.set(fetchKey(result.requestId, result.step), result);
  }

  add(record: JournalRecord): void {
    this.#records.push(record);
    this.#byEntry.set(record.busEntry, record);
    this.#byCommand.set(record.commandId, record);
    this.#lastSequence = Math.max(this.#lastSequence, record.sequence);
    this.raiseFloor(record.floorMs ?? Number.NEGATIVE_INFINITY);
  }

  raiseFloor(toMs: number): void {
    this.#floorMs = Math.max(this.#floorMs, toMs);
  }

  /** Resumes the count of a journal whose records were dropped. */
  startAfter(sequence: number): void {
    this.#lastSequence = Math.max(this.#lastSequence, sequence);
  }

  /** Drops what {@link CommandJournal.compact} says and returns it. */
  drop(beforeSequence: number, beforeMs: number): readonly JournalRecord[] {
    const isDropped = (record: JournalRecord): boolean =>
      record.sequence < beforeSequence && record.issuedAtMs < beforeMs;
    const dropped = this.#records.filter(isDropped);
    this.#records = this.#records.filter((record) => !isDropped(record));
    for (const record of dropped) {
      if (this.#byEntry.get(record.busEntry) === record) this.#byEntry.delete(record.busEntry);
      if (this.#byCommand.get(record.commandId) === record) this.#byCommand.delete(record.commandId);
      this.raiseFloor(record.issuedAtMs);
    }
    return dropped;
  }
}

function fetchKey(requestId: string, step: number): string {
  return `${step} ${requestId}`;
}

/** What every journal answers from memory; how it lasts is its own. */
export abstract class IndexedJournal implements CommandJournal {
  protected readonly index = new JournalIndex();

  get lastSequence(): number {
    return this.index.lastSequence;
  }

  get floorMs(): number {
    return this.index.floorMs;
  }

  get records(): readonly JournalRecord[] {
    return this.index.records;
  }

  get fetchResults(): readonly FetchResult[] {
    return this.index.fetchResults;
  }

  find(busEntry: string): JournalRecord | undefined {
    return this.index.find(busEntry);
  }

  findCommand(commandId: string): JournalRecord | undefined {
    return this.index.findCommand(commandId);
  }

  fetchResultOf(requestId: string, step: number): FetchResult | undefined {
    return this.index.fetchResultOf(requestId, step);
  }

  append(record: JournalRecord): void {
    this.index.add(record);
  }

  appendFetchResult(result: FetchResult): void {
    this.index.addFetchResult(result);
  }

  abstract commit(): void;
  abstract compact(beforeSequence: number, beforeMs: number): void;
  abstract close(): void;
}

/** A journal that ends with the process, for browsers and for runs without a folder. */
export class MemoryJournal extends IndexedJournal {
  commit(): void {
    // Memory is as durable as this journal gets.
  }

  compact(beforeSequence: number, beforeMs: number): void {
    this.index.drop(beforeSequence, beforeMs);
  }

  close(): void {
    // Nothing is held open.
  }
}

/** The outcome of a journaled command, for a duplicate of it. */
export function duplicateOf(record: JournalRecord): CommandOutcome {
  return { ...record.outcome, commandId: record.commandId, status: "duplicate" };
}
