/**
 * Files that are either whole or not there. A crash, also of the machine, leaves the old file or the new one:
 * write beside it, fsync, rename over it, fsync the folder (Pillai et al. 2014, "All file systems are not created
 * equal", for why each of the four). What is written beside it has a name that nobody can foresee, is made exclusively and
 * without following links, and is its owner's alone, so that nobody can put a file or a link in its way.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  openSync,
  renameSync,
  writeSync,
} from "node:fs";
import { type FileHandle, open, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { codeOf, ioError, NO_FOLLOW, PRIVATE_FILE, temporaryName, unlinkIfThere } from "./checked.node.js";

const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | NO_FOLLOW;
const PERMISSIONS = 0o777;
/** What a file system says that cannot force a folder to the disk. */
const NO_FOLDER_SYNC: readonly string[] = [
  "EINVAL",
  "ENOTSUP",
  "EOPNOTSUPP",
  "EISDIR",
  "EPERM",
  "EBADF",
  "ENOSYS",
];

/** The operations, as a value, so that a test can stop at any of them. */
export interface FileOperations {
  /** Makes a file, where there is none of that name, and forces its bytes to the disk. @param mode default: owner alone */
  writeSynced(path: string, bytes: Uint8Array, mode?: number): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Forces the entries of a folder to the disk, where its file system can: what was renamed stays renamed. */
  syncFolder(path: string): Promise<void>;
}

export const diskFiles: FileOperations = {
  async writeSynced(path, bytes, mode = PRIVATE_FILE) {
    const file = await open(path, NEW_FILE, mode);
    try {
      await giveMode(file, mode);
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
  },
  rename,
  remove: unlink,
  async syncFolder(path) {
    // Windows cannot open a folder; its renames are durable by themselves.
    if (process.platform === "win32") return;
    const folder = await open(path, constants.O_RDONLY);
    try {
      await folder.sync().catch(unlessUnsupported);
    } finally {
      await folder.close();
    }
  },
};

export interface WriteFileOptions {
  /** Default: {@link PRIVATE_FILE}. */
  readonly mode?: number;
  readonly files?: FileOperations;
}

/** Puts `bytes` at `path`, whole or not at all; a link there is replaced. Where it fails the temporary file is removed. */
export async function writeFileAtomically(
  path: string,
  bytes: Uint8Array,
  { mode = PRIVATE_FILE, files = diskFiles }: WriteFileOptions = {},
): Promise<void> {
  const temporary = temporaryName(path);
  try {
    await files.writeSynced(temporary, bytes, mode);
    await files.rename(temporary, path);
  } catch (error) {
    await files.remove(temporary).catch(() => undefined);
    throw error;
  }
  await files.syncFolder(dirname(path));
}

/**
 * As {@link writeFileAtomically}, at once.
 * @throws KasminaError `io` where it cannot be written
 */
export function writeFileAtomicallySync(
  path: string,
  bytes: Uint8Array | Iterable<Uint8Array>,
  mode = PRIVATE_FILE,
): void {
  const temporary = temporaryName(path);
  try {
    const file = openSync(temporary, NEW_FILE, mode);
    try {
      giveModeSync(file, mode);
      for (const part of bytes instanceof Uint8Array ? [bytes] : bytes) writeAllSync(file, part);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    unlinkIfThere(temporary);
    throw ioError(path, error);
  }
  syncFolderSync(dirname(path));
}

/** A write may take fewer bytes than it was given. */
export function writeAllSync(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}

/** As {@link FileOperations.syncFolder}, at once. */
export function syncFolderSync(path: string): void {
  if (process.platform === "win32") return;
  const folder = openSync(path, constants.O_RDONLY);
  try {
    fsyncSync(folder);
  } catch (error) {
    unlessUnsupported(error);
  } finally {
    closeSync(folder);
  }
}

/** The umask takes bits away that `mode` asks for; a file system without modes cannot give them. */
async function giveMode(file: FileHandle, mode: number): Promise<void> {
  if (((await file.stat()).mode & PERMISSIONS) !== mode) await file.chmod(mode).catch(() => undefined);
}

function giveModeSync(file: number, mode: number): void {
  if ((fstatSync(file).mode & PERMISSIONS) === mode) return;
  try {
    fchmodSync(file, mode);
  } catch {
    // A file system without modes: said once, where the folder is opened.
  }
}

function unlessUnsupported(error: unknown): void {
  if (!NO_FOLDER_SYNC.includes(codeOf(error))) throw error;
}
