/** The command journal of a run folder, on disk: owner-only, appended to and fsynced. */
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { DurableJournal, type JournalStorage } from "./durable-journal.js";

const OWNER_ONLY = 0o600;

/**
 * Opens or creates the journal at `path`; its history stands beside it as `<path>.history`.
 * @throws KasminaError `io` where it cannot be opened, `corrupt` where it is damaged
 */
export function openJournal(path: string): DurableJournal {
  return new DurableJournal(new FileStorage(path));
}

class FileStorage implements JournalStorage {
  readonly #path: string;
  #file: number | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  read(): Uint8Array {
    return readIfThere(this.#path);
  }

  append(bytes: Uint8Array): void {
    writeAll(this.#open(), bytes);
  }

  sync(): void {
    fdatasyncSync(this.#open());
  }

  truncate(length: number): void {
    ftruncateSync(this.#open(), length);
    fsyncSync(this.#open());
  }

  replace(bytes: Uint8Array): void {
    const temporary = `${this.#path}.tmp`;
    const file = openSync(temporary, "w", OWNER_ONLY);
    writeAll(file, bytes);
    fsyncSync(file);
    closeSync(file);
    this.close();
    renameSync(temporary, this.#path);
    syncFolder(this.#path);
  }

  readHistory(): Uint8Array {
    return readIfThere(this.#historyPath);
  }

  appendHistory(bytes: Uint8Array): void {
    const file = openSync(this.#historyPath, "a", OWNER_ONLY);
    writeAll(file, bytes);
    fsyncSync(file);
    closeSync(file);
    syncFolder(this.#path);
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  get #historyPath(): string {
    return `${this.#path}.history`;
  }

  #open(): number {
    if (this.#file !== undefined) return this.#file;
    this.#file = openSync(this.#path, "a", OWNER_ONLY);
    syncFolder(this.#path);
    return this.#file;
  }
}

function readIfThere(path: string): Uint8Array {
  return existsSync(path) ? readFileSync(path) : new Uint8Array();
}

/** A write may take fewer bytes than it was given. */
function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}

/** Makes a created or renamed name durable too. */
function syncFolder(path: string): void {
  const folder = openSync(dirname(path), "r");
  fsyncSync(folder);
  closeSync(folder);
}
