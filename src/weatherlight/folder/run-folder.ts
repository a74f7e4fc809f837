/**
 * The folder of one run:
 *
 *     run.json        what was asked for; it claims the folder, so that no two runs share one
 *     events.ndjson   one JSON object a line, as it happened
 *     losses.f32      the training loss of every step, a little-endian float32 each: what a replay is held against
 *     parent/         of a run that goes on from another: that one's checkpoint, as it was
    checkpoint/     the last checkpoint and the one before it
 *     tokenizer.json  what makes tokens of a text, where the run learns from tokens; run.json has its digest
 *     summary.json    the report; there once the run has ended
 *     .lease/         who may write the folder
 */
import { join, resolve } from "node:path";
import { z } from "zod";
import {
  acquireLease,
  codeOf,
  GrowingFile,
  heldError,
  type Lease,
  lstatIfThere,
  makeFolder,
  missingGuarantees,
  namesIn,
  PRIVATE_FILE,
  PRIVATE_FOLDER,
  placeOf,
  readRegularFrom,
  readRegularIfThere,
  removeEmptyFolders,
  removeFile,
  removeFolder,
  requireOwnFolder,
  SHARED_FILE,
  SHARED_FOLDER,
  writeFileAtomically,
} from "../../base/disk/index.node.js";
import { KasminaError, messageOf, parseStrictJson, sha256Hex, utf8 } from "../../base/index.js";
import {
  type Checkpoint,
  type JsonObject,
  type WriteOptions,
  type WrittenCheckpoint,
  writeCheckpoint,
} from "./checkpoint.js";

export const RUN_FILE = "run.json";
const EVENTS = "events.ndjson";
const SUMMARY = "summary.json";
const LOSSES = "losses.f32";
const TOKENIZER = "tokenizer.json";
const CHECKPOINT = "checkpoint";
const LEASE = ".lease";
/** What a run writes. Whatever of it is in a folder, a run was there, or somebody laid a trap for one. */
const TRACES =
  /^(run|summary|control|tokenizer)\.json|^(events|losses|control|commands)\.|^(checkpoint|catalog|parent)$/;
/** Of run.json and summary.json: options, and a line a seed. */
const MAX_JSON_BYTES = 16 * 1024 * 1024;
/** Of tokenizer.json: some of a million tokens have 30 MB. */
const MAX_TOKENIZER_BYTES = 256 * 1024 * 1024;
/** Of losses.f32: 64 million steps. */
const MAX_LOSSES_BYTES = 256 * 1024 * 1024;
/** Of events.ndjson, which grows by some 300 bytes an observation. */
const MAX_EVENTS_BYTES = 512 * 1024 * 1024;
const NEWLINE = 10;

export interface RunFolderOptions {
  /** Reported to whoever wants the folder meanwhile. Default `kasmina grow`. */
  readonly purpose?: string;
  /** Whether the group may read what is written, keys and journal aside. Default: owner only. */
  readonly share?: boolean;
}

/** A run's folder while the run goes on; nobody else writes it meanwhile. */
export class RunFolder {
  readonly path: string;
  readonly lease: Lease;
  readonly #share: boolean;
  readonly #events: GrowingFile;
  readonly #losses: GrowingFile;
  /** Which folder it is: another one may get its name. */
  readonly #inode: number | undefined;
  #about: object;
  #open = true;

  private constructor(path: string, lease: Lease, { about, share }: { about: object; share: boolean }) {
    this.path = path;
    this.lease = lease;
    this.#about = about;
    this.#share = share;
    this.#inode = lstatIfThere(path)?.ino;
    this.#events = GrowingFile.forAppending(join(path, EVENTS), this.#fileMode);
    this.#losses = GrowingFile.forPlacing(join(path, LOSSES), this.#fileMode);
    this.#events.cutTornLine();
  }

  /**
   * Makes the folder (or takes an existing one of ours without a run in it) and writes run.json. Where that fails, what
   * was made is removed again.
   *
   * @param about what was asked for: run id, configuration
   * @throws KasminaError `invalid_argument` where the folder cannot be written, is in use, or holds a run already
   */
  static async create(
    path: string,
    about: JsonObject,
    { purpose = "kasmina grow", share = false }: RunFolderOptions = {},
  ): Promise<RunFolder> {
    const folder = resolve(path);
    const made = await makeFolder(folder, share ? SHARED_FOLDER : PRIVATE_FOLDER).catch((error: unknown) => {
      throw usageError(folder, error);
    });
    let lease: Lease | undefined;
    try {
      const text = `${JSON.stringify(about, null, 2)}\n`;
      await refuseRun(folder);
      lease = await take(folder, purpose);
      // Whoever had the folder in between has left a run in it.
      await refuseRun(folder);
      await writeFileAtomically(join(folder, RUN_FILE), utf8(text), {
        mode: share ? SHARED_FILE : PRIVATE_FILE,
      });
      return new RunFolder(folder, lease, { about, share });
    } catch (error) {
      lease?.release();
      if (made) await undo(folder, made, lease !== undefined);
      throw usageError(folder, error);
    }
  }

  /**
   * Opens the folder of a run that stopped before its end, to go on with it.
   *
   * @throws KasminaError `invalid_argument` where there is no run, one that has ended, or one that is going on
   */
  static async reopen(path: string, purpose = "kasmina grow --resume"): Promise<RunFolder> {
    const folder = placeOf(resolve(path)) ?? resolve(path);
    let lease: Lease | undefined;
    try {
      await readRunFolder(folder);
      requireOwnFolder(folder);
      lease = await take(folder, purpose);
      // Only now: the run may have ended a moment ago.
      const { about, summary } = await readRunFolder(folder);
      if (isOver(summary)) throw new KasminaError("invalid_argument", `the run in ${folder} has ended`);
      if (summary !== undefined) await removeFile(join(folder, SUMMARY));
      return new RunFolder(folder, lease, { about: about as object, share: isShared(about) });
    } catch (error) {
      lease?.release();
      throw usageError(folder, error);
    }
  }

  get checkpointPath(): string {
    return join(this.path, CHECKPOINT);
  }

  /** What the file system of the folder cannot promise, one line each. */
  get notGuaranteed(): readonly string[] {
    return missingGuarantees(this.path);
  }

  /** What run.json holds. */
  get about(): object {
    return this.#about;
  }

  /** @throws KasminaError `io` where the folder, or a file that the run writes, is not there any more */
  requireThere(): void {
    const inode = lstatIfThere(this.path)?.ino;
    if (inode === undefined)
      throw new KasminaError("io", `run folder ${this.path} is gone: deleted or moved`);
    if (inode !== this.#inode)
      throw new KasminaError("io", `run folder ${this.path} is gone: there is another folder of that name`);
    const isWhole =
      this.#events.isNamed() &&
      this.#losses.isNamed() &&
      lstatIfThere(join(this.path, RUN_FILE)) !== undefined;
    if (!isWhole) throw new KasminaError("io", `files of run folder ${this.path} are gone: deleted or moved`);
  }

  /** Appends one line to events.ndjson. */
  append(record: object): void {
    if (this.#open) this.#events.append(utf8(`${JSON.stringify(record)}\n`));
  }

  /** Writes the loss of one step (from 0) at its place; a replayed step replaces what was there. */
  recordLoss(step: number, loss: number): void {
    if (this.#open) this.#losses.writeAt(4 * step, new Uint8Array(Float32Array.of(loss).buffer));
  }

  /** As {@link writeCheckpoint} does, in the run's folder. @throws KasminaError `io` where the folder was taken over */
  writeCheckpoint(
    checkpoint: Checkpoint,
    options: Pick<WriteOptions, "isKept" | "sealer"> = {},
  ): Promise<WrittenCheckpoint> {
    this.#requireHeld();
    return writeCheckpoint(this.checkpointPath, checkpoint, { ...options, share: this.#share });
  }

  /** Writes run.json anew. */
  async rewriteAbout(about: object): Promise<void> {
    this.#requireHeld();
    this.#about = about;
    const text = utf8(`${JSON.stringify(about, null, 2)}\n`);
    await writeFileAtomically(join(this.path, RUN_FILE), text, { mode: this.#fileMode });
  }

  /** @param json the text of the tokenizer that the run's text goes through */
  async writeTokenizer(json: string): Promise<void> {
    await writeFileAtomically(join(this.path, TOKENIZER), utf8(json), { mode: this.#fileMode });
  }

  async writeSummary(summary: object): Promise<void> {
    this.#requireHeld();
    const path = join(this.path, SUMMARY);
    const text = utf8(`${JSON.stringify(summary, null, 2)}\n`);
    await writeFileAtomically(path, text, { mode: this.#fileMode }).catch((error: unknown) => {
      throw new KasminaError("io", `cannot write ${path}: ${messageOf(error)}`, { cause: error });
    });
  }

  /** Forces the events to the disk, closes the files and gives the folder back. May be called again. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const file of [this.#events, this.#losses]) {
      file.sync();
      file.close();
    }
    this.lease.release();
  }

  get #fileMode(): number {
    return this.#share ? SHARED_FILE : PRIVATE_FILE;
  }

  #requireHeld(): void {
    if (this.lease.isHeld()) return;
    throw new KasminaError(
      "io",
      `run folder ${this.path} was taken over: this run must not write to it any more`,
    );
  }
}

/** How runs end that can go on. */
const RESUMABLE: ReadonlySet<string | null> = new Set(["halted", "interrupted", "time_limit"]);

/** Whether a run with this report cannot go on. */
function isOver(summary: unknown): boolean {
  const ended = endedIn(summary);
  return summary !== undefined && !RESUMABLE.has(ended);
}

/** How a run ended, as its report says: `finished` in those of the time before it was written; null without a report. */
export function endedIn(summary: unknown): string | null {
  if (summary === undefined) return null;
  return z.object({ ended: z.string() }).safeParse(summary).data?.ended ?? "finished";
}

/** What {@link readRunFolder} finds. */
export interface RunRecord {
  readonly path: string;
  readonly checkpointPath: string;
  /** As given to {@link RunFolder.create}. */
  readonly about: unknown;
  /** SHA-256 of run.json. */
  readonly aboutSha256: string;
  /** Left out where the run has not ended, or ended without a report. */
  readonly summary?: unknown;
}

/**
 * @throws KasminaError `invalid_argument` where there is no run at `path`, `corrupt` where a file of it is not JSON
 */
export async function readRunFolder(path: string): Promise<RunRecord> {
  const folder = resolve(path);
  const bytes = await readRegularIfThere(join(folder, RUN_FILE), { maxBytes: MAX_JSON_BYTES });
  if (bytes === undefined)
    throw new KasminaError("invalid_argument", `${folder} holds no run: no ${RUN_FILE} in it`);
  const summary = await readJson(join(folder, SUMMARY));
  const about = parseJson(join(folder, RUN_FILE), bytes);
  const aboutSha256 = sha256Hex(bytes);
  const record = { path: folder, checkpointPath: join(folder, CHECKPOINT), about, aboutSha256 };
  return summary === undefined ? record : { ...record, summary };
}

/** The lines of `events.ndjson`; none where there is no such file. A last one without its end is left out. */
export function readEventLines(path: string): Promise<readonly string[]> {
  return new EventLines(path).read();
}

/** The last lines of `events.ndjson`, as many as stand in its last `bytes` bytes. */
export async function readLastEventLines(path: string, bytes: number): Promise<readonly string[]> {
  const file = join(resolve(path), EVENTS);
  const from = Math.max(0, (lstatIfThere(file)?.size ?? 0) - bytes);
  const read = await readRegularFrom(file, from, { maxBytes: MAX_EVENTS_BYTES });
  return new TextDecoder()
    .decode(read)
    .split("\n")
    .slice(from === 0 ? 0 : 1, -1);
}

/**
 * The lines of `events.ndjson` as they are written. A resumed run may have cut off a torn one; the whole is read again then, and what
 * was read before does not count.
 */
export class EventLines {
  readonly #path: string;
  readonly #marks: readonly string[] | undefined;
  readonly #lines: string[] = [];
  #bytes = 0;
  #reading: Promise<readonly string[]> | undefined;

  /**
   * @param path of the run's folder
   * @param marks of the lines that are wanted: those alone that hold one of these texts become texts themselves. Default: all
   */
  constructor(path: string, marks?: readonly string[]) {
    this.#path = join(resolve(path), EVENTS);
    this.#marks = marks;
  }

  /** All complete lines by now. Calls that come together share one reading. */
  read(): Promise<readonly string[]> {
    this.#reading ??= this.#readOn().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #readOn(): Promise<readonly string[]> {
    const options = { maxBytes: MAX_EVENTS_BYTES };
    let bytes = await readRegularFrom(this.#path, this.#bytes, options);
    if (bytes === undefined && this.#bytes > 0) {
      this.#lines.length = 0;
      this.#bytes = 0;
      bytes = await readRegularFrom(this.#path, 0, options);
    }
    const complete = bytes?.subarray(0, bytes.lastIndexOf(NEWLINE) + 1) ?? new Uint8Array();
    this.#bytes += complete.length;
    const read = Buffer.from(complete.buffer, complete.byteOffset, complete.length);
    // Several times faster than TextDecoder, and megabytes are read at once.
    const lines = this.#marks ? marked(read, this.#marks) : read.toString("utf8").split("\n").slice(0, -1);
    for (const line of lines) this.#lines.push(line);
    return this.#lines;
  }
}

/** The lines that hold one of the marks, in order. */
function marked(bytes: Buffer, marks: readonly string[]): string[] {
  const ends = new Map<number, number>();
  for (const mark of marks) {
    for (let at = bytes.indexOf(mark); at >= 0; ) {
      const end = bytes.indexOf(NEWLINE, at);
      ends.set(bytes.lastIndexOf(NEWLINE, at) + 1, end);
      at = bytes.indexOf(mark, end);
    }
  }
  return [...ends].sort(([a], [b]) => a - b).map(([start, end]) => bytes.toString("utf8", start, end));
}

/** The training loss of every step that the run did, NaN for those that were lost in a crash; a run that goes on may add to them meanwhile. */
export async function readLosses(path: string): Promise<Float32Array> {
  const file = join(resolve(path), LOSSES);
  const bytes = await readRegularIfThere(file, { maxBytes: MAX_LOSSES_BYTES, grows: true });
  return new Float32Array(bytes?.slice(0, 4 * Math.floor(bytes.length / 4)).buffer ?? []);
}

/**
 * The text of a run's tokenizer.
 * @param sha256 what run.json says of it
 * @throws KasminaError `corrupt` where it is missing, or is another one
 */
export async function readTokenizer(path: string, sha256: string): Promise<string> {
  const file = join(resolve(path), TOKENIZER);
  const bytes = await readRegularIfThere(file, { maxBytes: MAX_TOKENIZER_BYTES });
  if (bytes === undefined) throw new KasminaError("corrupt", `${file} is missing`);
  if (sha256Hex(bytes) !== sha256)
    throw new KasminaError("corrupt", `${file} is not the tokenizer that the run began with`);
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

async function readJson(path: string): Promise<unknown> {
  const bytes = await readRegularIfThere(path, { maxBytes: MAX_JSON_BYTES });
  return bytes && parseJson(path, bytes);
}

function parseJson(path: string, bytes: Uint8Array): unknown {
  try {
    return parseStrictJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new KasminaError("corrupt", `${path} is not JSON: ${messageOf(error)}`, { cause: error });
  }
}

/** New means that nothing of a run is there, no link, nothing that is no file or folder, and that the folder is ours. */
async function refuseRun(folder: string): Promise<void> {
  requireOwnFolder(folder);
  for (const name of await namesIn(placeOf(folder) ?? folder)) {
    if (TRACES.test(name))
      throw new KasminaError("invalid_argument", `run folder ${folder} already holds a run (${name})`);
    const stats = lstatIfThere(join(folder, name));
    if (stats && !stats.isFile() && !stats.isDirectory())
      throw new KasminaError("invalid_argument", `run folder ${folder} is not empty: ${name} is no file`);
  }
}

/** Whether a run was asked to share what it writes. */
function isShared(about: unknown): boolean {
  const asked = z.object({ config: z.object({ share: z.boolean() }) }).safeParse(about);
  return asked.data?.config.share ?? false;
}

async function take(folder: string, purpose: string): Promise<Lease> {
  const lease = await acquireLease(placeOf(folder) ?? folder, { purpose });
  if (lease.held) throw heldError(`run folder ${folder}`, lease);
  return lease;
}

/** Removes what {@link RunFolder.create} made before it failed, as far as nobody put anything into it. */
async function undo(folder: string, topmost: string, hadLease: boolean): Promise<void> {
  if (hadLease) {
    removeFile(join(folder, RUN_FILE));
    await removeFolder(join(folder, LEASE));
  }
  // What a taking that failed left of it, as on a full disk.
  await removeEmptyFolders(join(folder, LEASE), join(folder, LEASE));
  await removeEmptyFolders(folder, topmost);
}

/** Why a folder cannot be used, in words; the code alone for what is not listed. */
const REASONS: Readonly<Record<string, string>> = {
  EACCES: "is not writable: permission denied",
  ENOENT: "cannot be made here",
  EROFS: "is not writable: read-only file system",
  EEXIST: "cannot be made: there is a file of that name",
  ENOTDIR: "cannot be made: a part of its path is a file",
};

function usageError(folder: string, error: unknown): KasminaError {
  if (error instanceof KasminaError && codeOf(error.cause) === "") return error;
  const code = codeOf(error instanceof KasminaError ? error.cause : error);
  const reason = REASONS[code] ?? `is not writable: ${messageOf(error)}`;
  return new KasminaError("invalid_argument", `run folder ${folder} ${reason}`, { cause: error });
}
