/**
 * Checkpoints on disk. A folder holds
 *
 *     checkpoint.json            what the present checkpoint is: meta, and the digest of its tensors
 *     checkpoint.previous.json   the one before it, where there is one
 *     <sha256>.safetensors       the tensors of either, named by their digest
 *
 * The tensors are written first; renaming checkpoint.json into place is the one instant at which a checkpoint
 * comes to be. Whatever stops the program, the folder holds the old checkpoint or the new one, whole.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import {
  diskFiles,
  type FileOperations,
  hasFolder,
  isTemporaryName,
  makeSubfolder,
  namesIn,
  PRIVATE_FILE,
  PRIVATE_FOLDER,
  readRegular,
  readRegularIfThere,
  SHARED_FILE,
  SHARED_FOLDER,
  writeFileAtomically,
} from "../../base/disk/index.node.js";
import { KasminaError, messageOf, toHex, utf8 } from "../../base/index.js";
import { parseStrictJson } from "../../base/json.js";
import { decodeSafetensors, encodeSafetensors, type Sealer, type Tensors } from "../../contracts/index.js";

const FORMAT = "kasmina.checkpoint.v1";
const SEAL_CONTEXT = "kasmina.checkpoint.v1";
const CURRENT = "checkpoint.json";
const PREVIOUS = "checkpoint.previous.json";
const TENSORS = /^[0-9a-f]{64}\.safetensors$/;
const DIGEST = /^[0-9a-f]{64}$/;
/** Of checkpoint.json: seeds, slots, pending commands; a run of 1,000 seeds takes 1 MB. */
const MAX_META_BYTES = 64 * 1024 * 1024;

/** Any value that JSON holds. Numbers are finite: JSON has no NaN. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };
export type JsonObject = { readonly [key: string]: JsonValue };

export interface Checkpoint {
  /** Parameters, optimizer state: whatever the engine's state holds, by path. */
  readonly tensors: Tensors;
  /** What else a run needs to go on: step, seeds, random state. */
  readonly meta: JsonObject;
}

export interface CheckpointInfo {
  /** SHA-256 over meta and the digest of the tensors: equal checkpoints have equal digests. */
  readonly sha256: string;
  /** Of the tensors' file. */
  readonly bytes: number;
}

/** A checkpoint as it was read. */
export interface FoundCheckpoint extends Checkpoint, CheckpointInfo {
  /** As its file says; {@link isSealed} checks it. */
  readonly seal?: { readonly keyId: string; readonly seal: string };
}

/** What became of the folder at a write. */
export interface WrittenCheckpoint extends CheckpointInfo {
  /** Whether the checkpoint that was there is the previous one now. */
  readonly previousKept: boolean;
}

export interface WriteOptions {
  /** Whether the checkpoint that was there is to become the previous one. Default: always. */
  readonly isKept?: (checkpoint: Pick<Checkpoint, "meta">) => boolean;
  readonly files?: FileOperations;
  /** Whether the group may read it. Default false. */
  readonly share?: boolean;
  /** Seals it, so that the run knows it again. Default: it bears no seal. */
  readonly sealer?: Sealer;
}

/** What a checkpoint file holds in addition to its own digest. */
interface Content {
  readonly meta: JsonObject;
  readonly tensors: { readonly sha256: string; readonly bytes: number };
}

/**
 * Writes a checkpoint; the one that was there becomes the previous one, and the previous one is removed. One that does
 * not verify, or is not wanted, never takes the place of the previous one.
 *
 * @throws KasminaError `invalid_argument` for meta that JSON cannot hold, `io` where the folder cannot be written
 */
export async function writeCheckpoint(
  dir: string,
  checkpoint: Checkpoint,
  { isKept = () => true, files = diskFiles, share = false, sealer }: WriteOptions = {},
): Promise<WrittenCheckpoint> {
  const bytes = encodeSafetensors(checkpoint.tensors);
  const content: Content = {
    meta: checkpoint.meta,
    tensors: { sha256: sha256(bytes), bytes: bytes.length },
  };
  const text = toJson(content);
  const info = { sha256: sha256(utf8(text)), bytes: bytes.length };
  const seal = sealer ? `"key_id":"${sealer.keyId}","seal":"${sealOf(sealer, info.sha256)}",` : "";
  const json = `{"format":"${FORMAT}","sha256":"${info.sha256}",${seal}"content":${text}}\n`;
  try {
    const as = { files, mode: share ? SHARED_FILE : PRIVATE_FILE };
    await makeSubfolder(dir, share ? SHARED_FOLDER : PRIVATE_FOLDER);
    await writeFileAtomically(join(dir, `${content.tensors.sha256}.safetensors`), bytes, as);
    const kept = await readSound(dir, isKept);
    if (kept) await writeFileAtomically(join(dir, PREVIOUS), kept, as);
    await writeFileAtomically(join(dir, CURRENT), utf8(json), as);
    await removeUnused(dir, files);
    return { ...info, previousKept: kept !== undefined };
  } catch (error) {
    throw new KasminaError("io", `cannot write a checkpoint to ${dir}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** The present checkpoint's own file, where it verifies and is wanted. */
async function readSound(
  dir: string,
  isWanted: (checkpoint: Checkpoint) => boolean,
): Promise<Uint8Array | undefined> {
  const checkpoint = await readCheckpoint(dir).catch(() => undefined);
  return checkpoint && isWanted(checkpoint) ? readMeta(join(dir, CURRENT)) : undefined;
}

/** Whether a checkpoint was ever written to the folder, sound or not. */
export async function hasCheckpoint(dir: string): Promise<boolean> {
  const files = await namesIn(dir);
  return files.includes(CURRENT) || files.includes(PREVIOUS);
}

/**
 * Reads a checkpoint after checking its digests; nothing of it is used before.
 *
 * @param which `previous` is the one before the last
 * @throws KasminaError `io` where there is none, `corrupt` naming what does not fit
 */
export async function readCheckpoint(
  dir: string,
  which: "current" | "previous" = "current",
): Promise<FoundCheckpoint> {
  const path = join(dir, which === "current" ? CURRENT : PREVIOUS);
  hasFolder(dir);
  const { content, sha256: digest, seal } = parseFile(await readMeta(path), path);
  const tensorsPath = join(dir, `${content.tensors.sha256}.safetensors`);
  const bytes = await readRegularIfThere(tensorsPath, { maxBytes: content.tensors.bytes });
  if (bytes?.length !== content.tensors.bytes) {
    const found = bytes === undefined ? "is missing" : `has ${bytes.length} bytes`;
    throw new KasminaError("corrupt", `${tensorsPath} ${found}, ${path} says ${content.tensors.bytes}`);
  }
  if (sha256(bytes) !== content.tensors.sha256) {
    throw new KasminaError("corrupt", `${tensorsPath} is not what its SHA-256 says`);
  }
  const { tensors } = decodeSafetensors(bytes);
  return { tensors, meta: content.meta, sha256: digest, bytes: bytes.length, ...(seal && { seal }) };
}

/** Whether a checkpoint is the work of the run whose sealer this is. */
export function isSealed({ sha256: digest, seal }: FoundCheckpoint, sealer: Sealer): boolean {
  return seal !== undefined && sealer.holds(SEAL_CONTEXT, utf8(digest), seal.keyId, seal.seal);
}

function sealOf(sealer: Sealer, digest: string): string {
  return toHex(sealer.seal(SEAL_CONTEXT, utf8(digest)));
}

function parseFile(
  bytes: Uint8Array,
  path: string,
): Pick<FoundCheckpoint, "sha256" | "seal"> & { content: Content } {
  const corrupt = (what: string): KasminaError => new KasminaError("corrupt", `${path} ${what}`);
  const file = parseJson(bytes, path);
  if (!isObject(file) || file.format !== FORMAT) throw corrupt(`is not a ${FORMAT} file`);
  const { sha256: digest, content } = file;
  // Writing out what was read gives the very text that was digested: JSON keeps order, and numbers round-trip.
  if (typeof digest !== "string" || sha256(utf8(JSON.stringify(content ?? null))) !== digest) {
    throw corrupt("is not what its SHA-256 says");
  }
  if (!isContent(content)) throw corrupt("has no meta or no tensors");
  const { key_id: keyId, seal } = file;
  const isOne = typeof keyId === "string" && typeof seal === "string";
  return { content, sha256: digest, ...(isOne && { seal: { keyId, seal } }) };
}

function parseJson(bytes: Uint8Array, path: string): unknown {
  try {
    return parseStrictJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new KasminaError("corrupt", `${path} is ${messageOf(error)}`, { cause: error });
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isContent(value: unknown): value is Content {
  if (!isObject(value) || !isObject(value.meta) || !isObject(value.tensors)) return false;
  const { sha256: digest, bytes } = value.tensors;
  return typeof digest === "string" && DIGEST.test(digest) && typeof bytes === "number";
}

function readMeta(path: string): Promise<Uint8Array> {
  return readRegular(path, { maxBytes: MAX_META_BYTES });
}

/** Removes tensors that neither checkpoint names, and what writes that were cut short left behind. */
async function removeUnused(dir: string, files: FileOperations): Promise<void> {
  const used = await Promise.all(
    [CURRENT, PREVIOUS].map(async (name) => {
      const bytes = await readMeta(join(dir, name)).catch(() => undefined);
      return bytes ? Buffer.from(bytes).toString("utf8") : "";
    }),
  );
  for (const name of await namesIn(dir)) {
    const digest = name.split(".")[0] ?? "";
    const unused = TENSORS.test(name) && !used.some((text) => text.includes(digest));
    if (unused || isTemporaryName(name)) await files.remove(join(dir, name));
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** JSON.stringify would turn NaN into null without a word, and a key __proto__ is one that no reader takes. */
function toJson(content: Content): string {
  return JSON.stringify(content, (key, value: unknown) => {
    if (key === "__proto__") throw new KasminaError("invalid_argument", "checkpoint meta: key __proto__");
    if (typeof value === "number" && !Number.isFinite(value)) {
      throw new KasminaError("invalid_argument", `checkpoint meta: ${key} is ${value}`);
    }
    return value;
  });
}
