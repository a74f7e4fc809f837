/** Files that grow: records appended at the end, or numbers written at their place. */
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  readSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { guarded, openOwn, PRIVATE_FILE } from "./checked.node.js";
import { syncFolderSync, writeAllSync } from "./write.node.js";

const NEWLINE = 0x0a;
const BLOCK_BYTES = 64 * 1024;

/** A regular file of ours, opened without following links. Every method is done when it returns. */
export class GrowingFile {
  readonly #path: string;
  readonly #file: number;

  private constructor(path: string, file: number) {
    this.#path = path;
    this.#file = file;
  }

  /**
   * Opens a file to append to, and makes it where there is none.
   * @throws KasminaError `corrupt` where it is no regular file, `io` where it cannot be opened or is somebody else's
   */
  static forAppending(path: string, mode = PRIVATE_FILE): GrowingFile {
    return GrowingFile.#open(path, constants.O_RDWR | constants.O_APPEND, mode);
  }

  /** As {@link forAppending}, to write at places of one's choice. */
  static forPlacing(path: string, mode = PRIVATE_FILE): GrowingFile {
    return GrowingFile.#open(path, constants.O_RDWR, mode);
  }

  static #open(path: string, flags: number, mode: number): GrowingFile {
    const file = new GrowingFile(path, openOwn(path, flags, mode));
    guarded(path, () => syncFolderSync(dirname(path)));
    return file;
  }

  /** Whether it still has a name: what is written to a file that was removed is lost. */
  isNamed(): boolean {
    return guarded(this.#path, () => fstatSync(this.#file)).nlink > 0;
  }

  append(bytes: Uint8Array): void {
    guarded(this.#path, () => writeAllSync(this.#file, bytes));
  }

  writeAt(position: number, bytes: Uint8Array): void {
    guarded(this.#path, () => writeSync(this.#file, bytes, 0, bytes.length, position));
  }

  /** Cuts off a last line that a crash left without its end, so that it swallows no other. */
  cutTornLine(): void {
    const { size } = guarded(this.#path, () => fstatSync(this.#file));
    const end = this.#endOfLastLine(size);
    if (end < size) this.truncate(end);
  }

  truncate(length: number): void {
    guarded(this.#path, () => {
      ftruncateSync(this.#file, length);
      fsyncSync(this.#file);
    });
  }

  /** Forces the bytes to the disk. */
  sync(): void {
    guarded(this.#path, () => fdatasyncSync(this.#file));
  }

  close(): void {
    closeSync(this.#file);
  }

  #endOfLastLine(size: number): number {
    const block = new Uint8Array(BLOCK_BYTES);
    for (let end = size; end > 0; ) {
      const start = Math.max(0, end - BLOCK_BYTES);
      const read = guarded(this.#path, () => readSync(this.#file, block, 0, end - start, start));
      const newline = block.subarray(0, read).lastIndexOf(NEWLINE);
      if (newline >= 0) return start + newline + 1;
      end = start;
    }
    return 0;
  }
}
