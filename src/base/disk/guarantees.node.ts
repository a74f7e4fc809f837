/**
 * What the file system under a folder can be relied on for. Some have no modes or owners (vfat, network shares, /mnt/c of
 * WSL), some cannot force a folder to the disk, some have no hard links. Each is tried once, with a file that is removed
 * again, and a run goes on without it, saying so.
 */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  rmSync,
  statfsSync,
  statSync,
} from "node:fs";
import { dirname, join } from "node:path";

export interface Guarantees {
  /** Whether a file's mode keeps others out. */
  readonly modes: boolean;
  /** Whether a file says who made it. */
  readonly owners: boolean;
  /** Whether a name that was made or renamed can be forced to the disk. */
  readonly folderSync: boolean;
  /** Whether a file can be put in place whole, if and only if there is none. */
  readonly links: boolean;
}

const ALL: Guarantees = { modes: true, owners: true, folderSync: true, links: true };
const WORDS: { readonly [G in keyof Guarantees]: string } = {
  modes: "file modes: others may read what a run writes, its keys included",
  owners: "owners: who made a file cannot be checked",
  folderSync: "fsync of folders: a power cut may undo the last checkpoint",
  links: "hard links: two runs that begin at once in one folder may collide",
};
const PRIVATE = 0o600;
const GROUP_AND_OTHERS = 0o077;

/** By device: a folder's file system does not change. */
const known = new Map<number, Guarantees>();

/** Of the file system that holds `path`, which need not be there; all of them where nothing can be tried. */
export function guaranteesOf(path: string): Guarantees {
  const folder = nearestFolder(path);
  if (folder === undefined) return ALL;
  const found = known.get(folder.device) ?? probe(folder.path);
  if (found === undefined) return ALL;
  known.set(folder.device, found);
  return found;
}

/** One line a guarantee that is missing. */
export function missingGuarantees(path: string): readonly string[] {
  const found = guaranteesOf(path);
  return (Object.keys(WORDS) as (keyof Guarantees)[])
    .filter((name) => !found[name])
    .map((name) => `the file system of ${path} has no ${WORDS[name]}`);
}

/** File systems of one machine, as statfs(2) numbers them: ext, XFS, Btrfs, tmpfs, overlay, ZFS, F2FS. */
const LOCAL_TYPES: ReadonlySet<number> = new Set([
  0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1, 0xf2f5_2010,
]);

/** Whether no other machine reaches a folder, as far as its file system tells. */
export function isLocal(folder: string): boolean {
  try {
    return process.platform === "linux" && LOCAL_TYPES.has(statfsSync(folder).type);
  } catch {
    return false;
  }
}

function nearestFolder(path: string): { readonly path: string; readonly device: number } | undefined {
  try {
    const stats = statSync(path);
    if (stats.isDirectory()) return { path, device: stats.dev };
  } catch {
    // Not there yet: the folder above it will hold it.
  }
  return dirname(path) === path ? undefined : nearestFolder(dirname(path));
}

function probe(folder: string): Guarantees | undefined {
  const path = join(folder, `.${globalThis.crypto.randomUUID()}.tmp`);
  let file: number | undefined;
  try {
    file = openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, PRIVATE);
    const stats = fstatSync(file);
    return {
      modes: process.platform === "win32" || (stats.mode & GROUP_AND_OTHERS) === 0,
      owners: stats.uid === (process.geteuid?.() ?? stats.uid),
      folderSync: process.platform === "win32" || canSync(folder),
      links: canLink(path),
    };
  } catch {
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
    rmSync(path, { force: true });
    rmSync(`${path}.link`, { force: true });
  }
}

function canSync(folder: string): boolean {
  return succeeds(() => {
    const file = openSync(folder, constants.O_RDONLY);
    try {
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  });
}

function canLink(path: string): boolean {
  return succeeds(() => linkSync(path, `${path}.link`));
}

function succeeds(work: () => void): boolean {
  try {
    work();
    return true;
  } catch {
    return false;
  }
}
