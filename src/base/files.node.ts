/**
 * Files that are either whole or not there. A crash, also of the machine, leaves the old file or the new one:
 * write beside it, fsync, rename over it, fsync the folder (Pillai et al. 2014, "All file systems are not created
 * equal", for why each of the four).
 */
import { open, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";

/** The operations, as a value, so that a test can stop at any of them. */
export interface FileOperations {
  /** Writes a file, replacing what is there, and forces its bytes to the disk. */
  writeSynced(path: string, bytes: Uint8Array): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Forces the entries of a folder to the disk: what was renamed stays renamed. */
  syncFolder(path: string): Promise<void>;
}

export const diskFiles: FileOperations = {
  async writeSynced(path, bytes) {
    const file = await open(path, "w");
    try {
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
    const folder = await open(path, "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  },
};

/** Puts `bytes` at `path`, whole or not at all. Where it fails the temporary file is removed. */
export async function writeFileAtomically(
  path: string,
  bytes: Uint8Array,
  files: FileOperations = diskFiles,
): Promise<void> {
  const temporary = `${path}.tmp`;
  try {
    await files.writeSynced(temporary, bytes);
    await files.rename(temporary, path);
  } catch (error) {
    await files.remove(temporary).catch(() => undefined);
    throw error;
  }
  await files.syncFolder(dirname(path));
}
