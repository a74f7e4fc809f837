/**
 * A file for what does not fit into memory. It loses its name as soon as it is open, so that nobody else finds it, and nothing is left of
 * it however the process ends.
 */
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { KasminaError } from "../errors.js";
import { guarded, NO_FOLLOW, PRIVATE_FILE, temporaryName, unlinkIfThere } from "./checked.node.js";
import { placeOf } from "./folders.node.js";

const NEW_FILE = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | NO_FOLLOW;

/** Every method is done when it returns. */
export class ScratchFile {
  /** Where it lies, for errors. */
  readonly folder: string;
  /** Of this process, also for its threads, until it is closed. */
  readonly descriptor: number;

  private constructor(folder: string, descriptor: number) {
    this.folder = folder;
    this.descriptor = descriptor;
  }

  /**
   * @param path of a folder; where it is not there yet, the one above it takes the file, on the same disk
   * @throws KasminaError `io` where it cannot be made
   */
  static create(path: string): ScratchFile {
    const folder = nearestFolder(resolve(path));
    const temporary = temporaryName(join(folder, "scratch"));
    const descriptor = guarded(folder, () => openSync(temporary, NEW_FILE, PRIVATE_FILE));
    unlinkIfThere(temporary);
    return new ScratchFile(folder, descriptor);
  }

  /** @throws KasminaError `io` where the disk is full */
  write(position: number, bytes: Uint8Array): void {
    guarded(this.folder, () => {
      for (let at = 0; at < bytes.length; )
        at += writeSync(this.descriptor, bytes, at, bytes.length - at, position + at);
    });
  }

  /** Fills `bytes`. @throws KasminaError `io` where the file ends before */
  read(position: number, bytes: Uint8Array): void {
    guarded(this.folder, () => {
      for (let at = 0; at < bytes.length; ) {
        const read = readSync(this.descriptor, bytes, at, bytes.length - at, position + at);
        if (read === 0) throw new KasminaError("io", `a file in ${this.folder} lost what was written to it`);
        at += read;
      }
    });
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

function nearestFolder(path: string): string {
  return placeOf(path) ?? (dirname(path) === path ? path : nearestFolder(dirname(path)));
}
