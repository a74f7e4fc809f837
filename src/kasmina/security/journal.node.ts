/** The command journal of a run folder, on disk: owner-only, appended to and fsynced. */
import { GrowingFile, readRegularSyncIfThere, writeFileAtomicallySync } from "../../base/disk/index.node.js";
import { KasminaError, messageOf } from "../../base/errors.js";
import { DurableJournal, type JournalOptions, type JournalStorage } from "./durable-journal.js";
import { readUnsealed, type UnsealedJournal } from "./unsealed-journal.js";

/** Of a journal, and of its history: 64 KiB a command are allowed, 200 bytes are usual. */
const MAX_BYTES = 512 * 1024 * 1024;

/**
 * Opens or creates the journal at `path`; its history stands beside it as `<path>.history`.
 * @throws KasminaError as {@link DurableJournal} does
 */
export function openJournal(path: string, options: JournalOptions): DurableJournal {
  return new DurableJournal(new FileStorage(path), options);
}

/** A journal as it was found. */
export interface FoundJournal extends UnsealedJournal {
  /** Why nobody here can vouch for it; left out where its seals hold. */
  readonly problem?: string;
}

/**
 * Every record of the journal at `path`, compacted ones included, and what was found of kernels, without changing anything.
 * @param options left out where the run's keys are not here
 * @throws KasminaError `corrupt` where it cannot be read at all
 */
export function readJournal(path: string, options: JournalOptions | undefined): FoundJournal {
  try {
    if (!options) throw new KasminaError("corrupt", "the run's keys are not here");
    const journal = openJournal(path, { ...options, readOnly: true });
    return { records: journal.history(), fetchResults: journal.fetchResults };
  } catch (error) {
    const { records, fetchResults } = readUnsealed(readIfThere(path));
    const past = readUnsealed(readIfThere(`${path}.history`)).records;
    const all = new Map([...past, ...records].map((record) => [record.sequence, record]));
    const ordered = [...all.values()].sort((a, b) => a.sequence - b.sequence);
    return { records: ordered, fetchResults, problem: messageOf(error) };
  }
}

class FileStorage implements JournalStorage {
  readonly #path: string;
  #file: GrowingFile | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  read(): Uint8Array {
    return readIfThere(this.#path);
  }

  append(bytes: Uint8Array): void {
    this.#open().append(bytes);
  }

  sync(): void {
    this.#open().sync();
  }

  truncate(length: number): void {
    this.#open().truncate(length);
  }

  replace(parts: Iterable<Uint8Array>): void {
    this.close();
    writeFileAtomicallySync(this.#path, parts);
  }

  readHistory(): Uint8Array {
    return readIfThere(this.#historyPath);
  }

  appendHistory(bytes: Uint8Array): void {
    const file = GrowingFile.forAppending(this.#historyPath);
    try {
      file.append(bytes);
      file.sync();
    } finally {
      file.close();
    }
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  get #historyPath(): string {
    return `${this.#path}.history`;
  }

  #open(): GrowingFile {
    this.#file ??= GrowingFile.forAppending(this.#path);
    return this.#file;
  }
}

function readIfThere(path: string): Uint8Array {
  // Whoever looks at a run that goes on may meet a commit: of a line that is not whole yet nothing is taken.
  return readRegularSyncIfThere(path, { maxBytes: MAX_BYTES, grows: true }) ?? new Uint8Array();
}
