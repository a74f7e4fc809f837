/**
 * What is opened, checked on the descriptor and not on the name: a name may be another file a moment later. Links are never
 * followed, FIFOs and devices never waited for, and what is written to is ours and has no second name.
 */
import {
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  lstatSync,
  openSync,
  renameSync,
  unlinkSync,
} from "node:fs";
import { KasminaError, messageOf } from "../errors.js";
import { guaranteesOf } from "./guarantees.node.js";

/** Absent on Windows, where links need a privilege. */
export const NO_FOLLOW = constants.O_NOFOLLOW ?? 0;
export const NO_WAIT = constants.O_NONBLOCK ?? 0;

/** Owner alone. */
export const PRIVATE_FILE = 0o600;
/** Owner, and the group may read. */
export const SHARED_FILE = 0o640;
export const PRIVATE_FOLDER = 0o700;
export const SHARED_FOLDER = 0o750;

/** What is looked at of a file; declared here so that users of the package need no types of Node. */
export interface FileStats {
  readonly dev: number;
  readonly ino: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly size: number;
  readonly mtimeMs: number;
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
}

const GROUP_AND_OTHERS = 0o077;

/** The code of an error of the file system; empty for any other. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

export function isMissing(error: unknown): boolean {
  return codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR";
}

export function ioError(path: string, error: unknown): KasminaError {
  if (error instanceof KasminaError) return error;
  // Opening a link without following it says ELOOP, which tells nobody what is wrong.
  const what = codeOf(error) === "ELOOP" ? `${path} is a link` : messageOf(error);
  return new KasminaError("io", what, { cause: error });
}

/** What is wrong with a thing that ought to be a regular file; undefined where it is one. */
export function notRegular(stats: FileStats): string | undefined {
  if (stats.isFile()) return undefined;
  if (stats.isSymbolicLink()) return "is a link";
  return stats.isDirectory() ? "is a folder" : "is not a regular file";
}

/** @throws KasminaError `corrupt` where it is not a regular file */
export function requireRegular(path: string, stats: FileStats): void {
  const problem = notRegular(stats);
  if (problem !== undefined) throw new KasminaError("corrupt", `${path} ${problem}`);
}

/**
 * @param stats of the opened descriptor
 * @throws KasminaError `io` where the file belongs to somebody else, on a file system that knows owners
 */
export function requireOwn(path: string, stats: FileStats): void {
  if (isOwn(path, stats)) return;
  throw new KasminaError("io", `${path} belongs to user ${stats.uid}, not to you`);
}

export function isOwn(path: string, stats: FileStats): boolean {
  const uid = process.geteuid?.();
  return uid === undefined || stats.uid === uid || !guaranteesOf(path).owners;
}

/**
 * Of a file with a secret.
 * @throws KasminaError `io` where others than its owner may read it, on a file system that knows modes
 */
export function requirePrivate(path: string, stats: FileStats): void {
  requireOwn(path, stats);
  if ((stats.mode & GROUP_AND_OTHERS) === 0 || !guaranteesOf(path).modes) return;
  throw new KasminaError("io", `${path} can be read by others: chmod 600 it`);
}

/**
 * A descriptor of a regular file of ours, made where there is none.
 * @throws KasminaError `corrupt` for a link, a folder, a FIFO; `io` for somebody else's or what cannot be opened
 */
export function openOwn(path: string, flags: number, mode: number): number {
  separateName(path);
  const file = guarded(path, () => openSync(path, flags | constants.O_CREAT | NO_FOLLOW | NO_WAIT, mode));
  try {
    const stats = fstatSync(file);
    requireRegular(path, stats);
    requireOwn(path, stats);
    return file;
  } catch (error) {
    closeSync(file);
    throw ioError(path, error);
  }
}

/** A file with a second name (a hard link: a snapshot, or a trap) is written as a copy of its own. */
function separateName(path: string): void {
  const stats = lstatIfThere(path);
  if (stats === undefined) return;
  requireRegular(path, stats);
  if (stats.nlink < 2) return;
  const copy = temporaryName(path);
  guarded(path, () => {
    try {
      copyFileSync(path, copy, constants.COPYFILE_EXCL);
      renameSync(copy, path);
    } catch (error) {
      unlinkIfThere(copy);
      throw error;
    }
  });
}

/** What is at a path, links not followed; undefined where nothing is. */
export function lstatIfThere(path: string): FileStats | undefined {
  return guarded(path, () => lstatSync(path, { throwIfNoEntry: false }));
}

export function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!isMissing(error)) throw ioError(path, error);
  }
}

/** A name beside `path` that nobody can foresee. */
export function temporaryName(path: string): string {
  return `${path}.${globalThis.crypto.randomUUID()}.tmp`;
}

const TEMPORARY = /\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp$/;

/** Whether a file's name is one that {@link temporaryName} made. */
export function isTemporaryName(name: string): boolean {
  return TEMPORARY.test(name);
}

export function guarded<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw ioError(path, error);
  }
}
