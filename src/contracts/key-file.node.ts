/**
 * Keys at rest: a JSON file of mode 0600, or the environment variable KASMINA_KEYS (`id:hex,id:hex`, the signing key
 * first). Never a flag: those show in process lists and shell histories.
 */
import { randomBytes } from "node:crypto";
import { z } from "zod";
import { toHex, utf8 } from "../base/bytes.js";
import { readRegularSync, readRegularSyncIfThere, writeFileAtomicallySync } from "../base/disk/index.node.js";
import { KasminaError, messageOf } from "../base/errors.js";
import { type Key, KeyRing, MIN_SECRET_BYTES } from "./key-ring.js";
import { nodeMac } from "./mac.node.js";

export const KEYS_VARIABLE = "KASMINA_KEYS";
/** Of a key file: 8 keys take 2 KiB. */
const MAX_BYTES = 64 * 1024;
/** Keys kept for verifying after a rotation. */
export const MAX_KEYS = 8;

const secret = z.string().regex(/^([0-9a-f]{2})+$/, "must be hex digits");
const fileSchema = z.strictObject({
  /** Which key signs. */
  active: z.string(),
  keys: z.array(z.strictObject({ id: z.string(), created_at: z.string(), secret })).min(1),
});
type KeyFile = z.infer<typeof fileSchema>;

/** A key as it may be shown. */
export interface KeyInfo {
  readonly id: string;
  readonly createdAt: string;
  readonly active: boolean;
}

/**
 * The ring of a key file.
 * @throws KasminaError `io` where it cannot be read or others may read it, `invalid_data` where it is none
 */
export function readKeyFile(path: string): KeyRing {
  const file = load(path);
  const active = file.keys.filter(({ id }) => id === file.active);
  if (active.length === 0)
    throw new KasminaError("invalid_data", `key file ${path}: the active key ${file.active} is missing`);
  const others = file.keys.filter(({ id }) => id !== file.active);
  return new KeyRing([...active, ...others].map(toKey), nodeMac);
}

/** Adds a fresh key, which signs from now on; older ones go on verifying, the oldest leave. Creates the file. */
export function addKey(path: string, nowMs: number): KeyInfo {
  const known = hasKeyFile(path) ? load(path).keys : [];
  const createdAt = new Date(nowMs).toISOString();
  const id = `k-${createdAt.slice(0, 10)}-${randomBytes(3).toString("hex")}`;
  const key = { id, created_at: createdAt, secret: toHex(randomBytes(MIN_SECRET_BYTES)) };
  save(path, { active: id, keys: [...known, key].slice(-MAX_KEYS) });
  return { id, createdAt, active: true };
}

/**
 * Whether there is a key file.
 * @throws KasminaError `io` or `corrupt` where there is something else than a file of ours that we alone can read
 */
export function hasKeyFile(path: string): boolean {
  return explained(() => readRegularSyncIfThere(path, SECRET)) !== undefined;
}

/** What may be shown of a key file: ids and dates, never secrets. */
export function listKeys(path: string): readonly KeyInfo[] {
  const { active, keys } = load(path);
  return keys.map((key) => ({ id: key.id, createdAt: key.created_at, active: key.id === active }));
}

/**
 * The ring of an environment variable's value.
 * @throws KasminaError `invalid_argument`, which never quotes the value
 */
export function keysFromEnvironment(value: string): KeyRing {
  const keys = value.split(",").map((entry) => {
    const [id = "", hex = ""] = entry.trim().split(":");
    if (!secret.safeParse(hex).success)
      throw new KasminaError("invalid_argument", `${KEYS_VARIABLE} must be id:hex,id:hex…`);
    return toKey({ id, secret: hex });
  });
  return new KeyRing(keys, nodeMac);
}

/** The environment's keys where it has any, else the file's. */
export function loadKeys(
  path: string,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): KeyRing {
  const value = environment[KEYS_VARIABLE];
  return value ? keysFromEnvironment(value) : readKeyFile(path);
}

function toKey({ id, secret: hex }: { readonly id: string; readonly secret: string }): Key {
  return { id, secret: Uint8Array.from(Buffer.from(hex, "hex")) };
}

function load(path: string): KeyFile {
  const parsed = fileSchema.safeParse(parseJson(path, readPrivate(path)));
  if (!parsed.success)
    throw new KasminaError("invalid_data", `key file ${path} is not one: run \`kasmina keys new\``);
  return parsed.data;
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new KasminaError("invalid_data", `key file ${path} is not JSON`);
  }
}

function readPrivate(path: string): string {
  return new TextDecoder().decode(explained(() => readRegularSync(path, SECRET)));
}

function save(path: string, file: KeyFile): void {
  const bytes = utf8(`${JSON.stringify(file, undefined, 2)}\n`);
  explained(() => writeFileAtomicallySync(path, bytes));
}

const SECRET = { maxBytes: MAX_BYTES, secret: true };

function explained<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new KasminaError("io", `key file: ${messageOf(error)}`, { cause: error });
  }
}
