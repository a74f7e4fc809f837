/** Reads files that nobody vouches for: regular ones alone, of bounded size, within a deadline, parsed by a schema. */
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync } from "node:fs";
import { type FileHandle, lstat, open } from "node:fs/promises";
import type { ZodType } from "zod";
import { KasminaError, messageOf } from "../errors.js";
import { parseStrictJson } from "../json.js";
import {
  codeOf,
  type FileStats,
  isMissing,
  NO_FOLLOW,
  NO_WAIT,
  requirePrivate,
  requireRegular,
} from "./checked.node.js";

/** A disk that does not answer for so long is gone: a network mount without its server, a FUSE process that hangs. */
const DEADLINE_MS = 30_000;
const READ_FLAGS = constants.O_RDONLY | NO_FOLLOW | NO_WAIT;

export interface ReadOptions {
  /** Checked before a byte is allocated. */
  readonly maxBytes: number;
  /** Whether it must be ours, and readable by nobody else. Default false. */
  readonly secret?: boolean;
  /** Default 30 s. */
  readonly deadlineMs?: number;
  /** Whether somebody may append to it meanwhile: then it is read as far as it was when it was opened. Default false. */
  readonly grows?: boolean;
}

/**
 * The whole of a regular file; links are not followed.
 * @throws KasminaError `io` where it cannot be read, `corrupt` where it is no regular file, too large, or changes meanwhile,
 * `timeout` where the disk does not answer
 */
export function readRegular(path: string, options: ReadOptions): Promise<Uint8Array> {
  return withDeadline(path, options.deadlineMs ?? DEADLINE_MS, readChecked(path, options));
}

/** As {@link readRegular}; undefined where there is none. */
export async function readRegularIfThere(
  path: string,
  options: ReadOptions,
): Promise<Uint8Array | undefined> {
  try {
    return await readRegular(path, options);
  } catch (error) {
    if (error instanceof KasminaError && isMissing(error.cause)) return undefined;
    throw error;
  }
}

/**
 * What a file holds from byte `from` on; what is appended meanwhile waits for the next call. Undefined where there is no file, or it is
 * shorter than that by now.
 * @throws KasminaError as {@link readRegular} does; `maxBytes` is of the whole file
 */
export async function readRegularFrom(
  path: string,
  from: number,
  options: ReadOptions,
): Promise<Uint8Array | undefined> {
  try {
    return await withDeadline(path, options.deadlineMs ?? DEADLINE_MS, readRest(path, from, options));
  } catch (error) {
    if (error instanceof KasminaError && isMissing(error.cause)) return undefined;
    throw error;
  }
}

/** As {@link readRegular}, at once; without a deadline. */
export function readRegularSync(path: string, options: ReadOptions): Uint8Array {
  let file: number | undefined;
  try {
    requireRegular(path, lstatSync(path));
    file = openSync(path, READ_FLAGS);
    const stats = fstatSync(file);
    check(path, stats, options);
    const bytes = new Uint8Array(stats.size + 1);
    let filled = 0;
    for (let read = -1; read !== 0 && filled < bytes.length; filled += read)
      read = readSync(file, bytes, filled, bytes.length - filled, null);
    return whole(path, bytes, filled, { ...options, size: stats.size });
  } catch (error) {
    throw readError(path, error);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** As {@link readRegularSync}; undefined where there is none. */
export function readRegularSyncIfThere(path: string, options: ReadOptions): Uint8Array | undefined {
  try {
    return readRegularSync(path, options);
  } catch (error) {
    if (error instanceof KasminaError && isMissing(error.cause)) return undefined;
    throw error;
  }
}

/**
 * A JSON file, read strictly and parsed by a schema.
 * @throws KasminaError as {@link readRegular} does, and `corrupt` naming what does not fit
 */
export async function readJson<T>(path: string, schema: ZodType<T>, options: ReadOptions): Promise<T> {
  return parseJsonFile(path, await readRegular(path, options), schema);
}

/** The value of a JSON file's bytes. @throws KasminaError `corrupt` naming the file and what does not fit */
export function parseJsonFile<T>(path: string, bytes: Uint8Array, schema: ZodType<T>): T {
  const result = schema.safeParse(parseText(path, bytes));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue && issue.path.length > 0 ? `: ${issue.path.join(".")}` : "";
  throw new KasminaError(
    "corrupt",
    `${path} is not what it should be${where} (${issue?.message ?? "no value"})`,
  );
}

function parseText(path: string, bytes: Uint8Array): unknown {
  try {
    return parseStrictJson(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (error) {
    throw new KasminaError("corrupt", `${path} is not JSON: ${messageOf(error)}`, { cause: error });
  }
}

function readChecked(path: string, options: ReadOptions): Promise<Uint8Array> {
  return withFile(path, options, async (file, size) => {
    // One byte more than the size, so that a file that grows meanwhile is noticed.
    const bytes = new Uint8Array(size + 1);
    return whole(path, bytes, await fill(bytes, file, 0), { ...options, size });
  });
}

function readRest(path: string, from: number, options: ReadOptions): Promise<Uint8Array | undefined> {
  return withFile(path, options, async (file, size) => {
    if (size < from) return undefined;
    const bytes = new Uint8Array(size - from);
    return bytes.subarray(0, await fill(bytes, file, from));
  });
}

/** Reads until the bytes are full or the file ends; returns how many there are. */
async function fill(bytes: Uint8Array, file: FileHandle, from: number): Promise<number> {
  let filled = 0;
  for (let read = -1; read !== 0 && filled < bytes.length; filled += read)
    read = (await file.read(bytes, filled, bytes.length - filled, from + filled)).bytesRead;
  return filled;
}

/** Opens and checks a file for `use`, which is told its size. */
async function withFile<T>(
  path: string,
  options: ReadOptions,
  use: (file: FileHandle, size: number) => Promise<T>,
): Promise<T> {
  let file: FileHandle | undefined;
  try {
    // Before it is opened, too: opening some devices does something.
    requireRegular(path, await lstat(path));
    file = await open(path, READ_FLAGS);
    const stats = await file.stat();
    check(path, stats, options);
    return await use(file, stats.size);
  } catch (error) {
    throw readError(path, error);
  } finally {
    // Nobody needs to wait for it.
    file?.close().catch(() => undefined);
  }
}

function readError(path: string, error: unknown): KasminaError {
  if (error instanceof KasminaError) return error;
  // Between the look and the opening somebody put a link in its place.
  if (codeOf(error) === "ELOOP") return new KasminaError("corrupt", `${path} is a link`, { cause: error });
  return new KasminaError("io", `cannot read ${path}: ${messageOf(error)}`, { cause: error });
}

function check(path: string, stats: FileStats, { maxBytes, secret = false }: ReadOptions): void {
  requireRegular(path, stats);
  if (secret) requirePrivate(path, stats);
  if (stats.size > maxBytes)
    throw new KasminaError("corrupt", `${path} has ${stats.size} bytes, ${maxBytes} are allowed`);
}

function whole(
  path: string,
  bytes: Uint8Array,
  filled: number,
  { size, grows = false }: Pick<ReadOptions, "grows"> & { readonly size: number },
): Uint8Array {
  if (filled < size || (filled > size && !grows))
    throw new KasminaError("corrupt", `${path} changed while it was read`);
  return bytes.subarray(0, size);
}

/** What the disk answers. @throws KasminaError `timeout` where it does not in time */
export async function withDeadline<T>(path: string, deadlineMs: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, fail) => {
    timer = setTimeout(
      () => fail(new KasminaError("timeout", `${path}: the disk did not answer within ${deadlineMs} ms`)),
      deadlineMs,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
