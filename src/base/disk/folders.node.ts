/** Folders: made for their owner alone, entered only where they are no links, removed only where they are ours. */
import { chmodSync, realpathSync, renameSync, rmSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, rename, rm, rmdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { KasminaError } from "../errors.js";
import {
  codeOf,
  isMissing,
  isOwn,
  lstatIfThere,
  PRIVATE_FILE,
  PRIVATE_FOLDER,
  unlinkIfThere,
} from "./checked.node.js";

/**
 * Makes a folder and those above it. Not `mkdir` with `recursive`: Node 20 never returns from that under /proc.
 *
 * @returns the topmost folder that had to be made, or undefined where all were there
 */
export async function makeFolder(folder: string, mode = PRIVATE_FOLDER): Promise<string | undefined> {
  try {
    await makeOne(folder, mode);
    return folder;
  } catch (error) {
    if (codeOf(error) === "EEXIST" && (await stat(folder)).isDirectory()) return undefined;
    if (codeOf(error) !== "ENOENT" || dirname(folder) === folder) throw error;
  }
  const topmost = await makeFolder(dirname(folder), mode);
  await makeOne(folder, mode);
  return topmost ?? folder;
}

/** Makes a folder whose parent is there, or finds it there. @throws KasminaError `corrupt` where it is a link or a file */
export async function makeSubfolder(folder: string, mode = PRIVATE_FOLDER): Promise<void> {
  if (hasFolder(folder)) return;
  await makeOne(folder, mode).catch((error: unknown) => {
    if (codeOf(error) !== "EEXIST" || !hasFolder(folder)) throw error;
  });
}

/**
 * Whether there is a folder at `path`.
 * @throws KasminaError `corrupt` where there is something else: a link leads elsewhere
 */
export function hasFolder(path: string): boolean {
  const stats = lstatIfThere(path);
  if (stats === undefined) return false;
  if (stats.isDirectory()) return true;
  throw new KasminaError("corrupt", `${path} is ${stats.isSymbolicLink() ? "a link" : "no folder"}`);
}

/** The folder that a user named, who may name a link; undefined where there is none. */
export function placeOf(folder: string): string | undefined {
  try {
    const path = realpathSync(folder);
    return lstatIfThere(path)?.isDirectory() ? path : undefined;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** @throws KasminaError `io` where the folder belongs to somebody else, who can change at any time what is in it */
export function requireOwnFolder(path: string): void {
  const stats = lstatIfThere(path);
  if (stats === undefined || isOwn(path, stats)) return;
  throw new KasminaError("io", `${path} belongs to user ${stats.uid}, not to you`);
}

/** Names in a folder; none where it is not there. @throws KasminaError `corrupt` where it is a link */
export async function namesIn(folder: string): Promise<readonly string[]> {
  return hasFolder(folder) ? readdir(folder) : [];
}

/** Removes the folders that were made, up to `topmost`, as far as nobody put anything into them. */
export async function removeEmptyFolders(folder: string, topmost: string): Promise<void> {
  for (let path = folder; path.length >= topmost.length; path = dirname(path)) {
    const removed = await rmdir(path).then(
      () => true,
      () => false,
    );
    if (!removed) return;
  }
}

/** A folder of our own, owner only, in the system's temporary one or in another. */
export function makeTemporaryFolder(prefix: string, parent = tmpdir()): Promise<string> {
  return mkdtemp(join(parent, prefix));
}

/** Gives a socket that was made in a private folder its mode, and puts it in its place: nobody can reach it before. */
export async function placeSocket(from: string, to: string): Promise<void> {
  if (process.platform === "win32") return;
  await chmod(from, PRIVATE_FILE).catch(() => undefined);
  const stats = lstatIfThere(to);
  if (stats && !stats.isSocket()) throw new KasminaError("corrupt", `${to} is no socket`);
  await rename(from, to);
}

/** Removes a folder of ours with all that is in it; of a link, the link alone. */
export function removeFolder(path: string): Promise<void> {
  return rm(path, { recursive: true, force: true });
}

/** As {@link removeFolder}, at once. */
export function removeFolderSync(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

/** Renames a file, link or socket, where it is there; what bears the new name is replaced. */
export function moveFile(from: string, to: string): void {
  if (lstatIfThere(from)) renameSync(from, to);
}

/** Removes a file of ours, also a socket or a link. */
export function removeFile(path: string): void {
  unlinkIfThere(path);
}

/** The umask takes bits away that `mode` asks for. */
async function makeOne(folder: string, mode: number): Promise<void> {
  await mkdir(folder, mode);
  if (((await stat(folder)).mode & 0o777) === mode) return;
  try {
    chmodSync(folder, mode);
  } catch {
    // A file system without modes.
  }
}
