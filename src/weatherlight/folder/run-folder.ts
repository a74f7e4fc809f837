/**
 * The folder of one run:
 *
 *     run.json        what was asked for; it claims the folder, so that no two runs share one
 *     events.ndjson   one JSON object a line, as it happened
 *     losses.f32      the training loss of every step, a little-endian float32 each: what a replay is held against
 *     checkpoint/     the last checkpoint and the one before it
 *     summary.json    the report; there once the run has ended
 */
import { closeSync, constants, fsyncSync, openSync, writeSync } from "node:fs";
import { copyFile, link, mkdir, readdir, readFile, rmdir, stat, unlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { diskFiles, writeFileAtomically } from "../../base/files.node.js";
import { KasminaError, messageOf, utf8 } from "../../base/index.js";
import {
  type Checkpoint,
  type JsonObject,
  type WriteOptions,
  type WrittenCheckpoint,
  writeCheckpoint,
} from "./checkpoint.js";

const RUN = "run.json";
const EVENTS = "events.ndjson";
const SUMMARY = "summary.json";
const LOSSES = "losses.f32";
const CHECKPOINT = "checkpoint";
/** Whatever of these is in a folder, a run was there. */
const TRACES = [RUN, EVENTS, SUMMARY, CHECKPOINT];

/** A run's folder while the run goes on. */
export class RunFolder {
  readonly path: string;
  readonly #events: number;
  readonly #losses: number;
  #open = true;

  private constructor(path: string) {
    this.path = path;
    this.#events = openSync(join(path, EVENTS), "a");
    this.#losses = openSync(join(path, LOSSES), constants.O_RDWR | constants.O_CREAT, 0o644);
  }

  /**
   * Makes the folder (or takes an existing one without a run in it) and writes run.json. Where that fails, what
   * was made is removed again.
   *
   * @param about what was asked for: run id, configuration
   * @throws KasminaError `invalid_argument` where the folder cannot be written, or holds a run already
   */
  static async create(path: string, about: JsonObject): Promise<RunFolder> {
    const folder = resolve(path);
    const made = await makeFolder(folder);
    try {
      await refuseRun(folder);
      await claim(folder, about);
      return new RunFolder(folder);
    } catch (error) {
      if (made) await removeEmpty(folder, made);
      throw usageError(folder, error);
    }
  }

  /**
   * Opens the folder of a run that stopped before its end, to go on with it.
   *
   * @throws KasminaError `invalid_argument` where there is no run, or one that has ended
   */
  static async reopen(path: string): Promise<RunFolder> {
    const { path: folder, summary } = await readRunFolder(path);
    if (summary !== undefined) throw new KasminaError("invalid_argument", `the run in ${folder} has ended`);
    try {
      return new RunFolder(folder);
    } catch (error) {
      throw usageError(folder, error);
    }
  }

  get checkpointPath(): string {
    return join(this.path, CHECKPOINT);
  }

  /** Appends one line to events.ndjson. */
  append(record: object): void {
    if (this.#open) writeSync(this.#events, `${JSON.stringify(record)}\n`);
  }

  /** Writes the loss of one step (from 0) at its place; a step done again replaces what was there. */
  recordLoss(step: number, loss: number): void {
    if (this.#open) writeSync(this.#losses, new Uint8Array(Float32Array.of(loss).buffer), 0, 4, 4 * step);
  }

  /** As {@link writeCheckpoint} does, in the run's folder. */
  writeCheckpoint(checkpoint: Checkpoint, isKept?: WriteOptions["isKept"]): Promise<WrittenCheckpoint> {
    return writeCheckpoint(this.checkpointPath, checkpoint, isKept && { isKept });
  }

  async writeSummary(summary: object): Promise<void> {
    const text = `${JSON.stringify(summary, null, 2)}\n`;
    await writeFileAtomically(join(this.path, SUMMARY), utf8(text)).catch((error: unknown) => {
      throw new KasminaError("io", `cannot write ${join(this.path, SUMMARY)}: ${messageOf(error)}`, {
        cause: error,
      });
    });
  }

  /** Forces the events to the disk and closes the file. May be called again. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const file of [this.#events, this.#losses]) {
      fsyncSync(file);
      closeSync(file);
    }
  }
}

/** What {@link readRunFolder} finds. */
export interface RunRecord {
  readonly path: string;
  readonly checkpointPath: string;
  /** As given to {@link RunFolder.create}. */
  readonly about: unknown;
  /** Left out where the run has not ended, or ended without a report. */
  readonly summary?: unknown;
}

/**
 * @throws KasminaError `invalid_argument` where there is no run at `path`, `corrupt` where a file of it is not JSON
 */
export async function readRunFolder(path: string): Promise<RunRecord> {
  const folder = resolve(path);
  const about = await readJson(join(folder, RUN));
  if (about === undefined)
    throw new KasminaError("invalid_argument", `${folder} holds no run: no ${RUN} in it`);
  const summary = await readJson(join(folder, SUMMARY));
  const record = { path: folder, checkpointPath: join(folder, CHECKPOINT), about };
  return summary === undefined ? record : { ...record, summary };
}

/** Where a run's events are. */
export function eventsPath(path: string): string {
  return join(resolve(path), EVENTS);
}

/** The training loss of every step that the run did, NaN for those that were lost in a crash. */
export async function readLosses(path: string): Promise<Float32Array> {
  const bytes = await readFile(join(resolve(path), LOSSES)).catch(() => new Uint8Array());
  return new Float32Array(
    bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + 4 * Math.floor(bytes.length / 4)),
  );
}

async function readJson(path: string): Promise<unknown> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new KasminaError("corrupt", `${path} is not JSON: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * Makes a folder and those above it. Not `mkdir` with `recursive`: Node 20 never returns from that under /proc.
 *
 * @returns the topmost folder that had to be made, or undefined where all were there
 */
async function makeFolder(folder: string): Promise<string | undefined> {
  try {
    return await makeStep(folder);
  } catch (error) {
    throw usageError(folder, error);
  }
}

async function makeStep(folder: string): Promise<string | undefined> {
  try {
    await mkdir(folder);
    return folder;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "EEXIST" && (await stat(folder)).isDirectory()) return undefined;
    if (code !== "ENOENT" || dirname(folder) === folder) throw error;
  }
  const topmost = await makeStep(dirname(folder));
  await mkdir(folder);
  return topmost ?? folder;
}

async function refuseRun(folder: string): Promise<void> {
  const trace = (await readdir(folder)).find((name) => TRACES.includes(name));
  if (trace)
    throw new KasminaError("invalid_argument", `run folder ${folder} already holds a run (${trace})`);
}

/**
 * Writes run.json whole, if and only if there is none yet: of two runs that start at once, one gets the folder, and a
 * crash leaves no half of it.
 */
async function claim(folder: string, about: JsonObject): Promise<void> {
  const temporary = join(folder, `${RUN}.${globalThis.crypto.randomUUID()}.tmp`);
  const place = join(folder, RUN);
  try {
    await diskFiles.writeSynced(temporary, utf8(`${JSON.stringify(about, null, 2)}\n`));
    await link(temporary, place).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "EEXIST") throw error;
      // A file system without links: the copy is exclusive too, and not whole at once.
      return copyFile(temporary, place, constants.COPYFILE_EXCL);
    });
  } finally {
    await unlink(temporary).catch(() => undefined);
  }
  await diskFiles.syncFolder(folder);
}

/** Removes the folders that were made, up to `topmost`, as far as nobody put anything into them. */
async function removeEmpty(folder: string, topmost: string): Promise<void> {
  for (let path = folder; path.length >= topmost.length; path = dirname(path)) {
    const removed = await rmdir(path).then(
      () => true,
      () => false,
    );
    if (!removed) return;
  }
}

/** Why a folder cannot be used, in words; the code alone for what is not listed. */
const REASONS: Readonly<Record<string, string>> = {
  EACCES: "is not writable: permission denied",
  ENOENT: "cannot be made here",
  EROFS: "is not writable: read-only file system",
  EEXIST: "cannot be made: there is a file of that name, or another run has just begun there",
  ENOTDIR: "cannot be made: a part of its path is a file",
};

function usageError(folder: string, error: unknown): KasminaError {
  if (error instanceof KasminaError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? "";
  const reason = REASONS[code] ?? `is not writable: ${messageOf(error)}`;
  return new KasminaError("invalid_argument", `run folder ${folder} ${reason}`, { cause: error });
}
