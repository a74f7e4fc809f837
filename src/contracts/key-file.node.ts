/**
 * Keys at rest: a JSON file of mode 0600, or the environment variable KASMINA_KEYS (`id:hex,id:hex`, the signing key
 * first). Never a flag: those show in process lists and shell histories.
 */
import { randomBytes } from "node:crypto";
import { z } from "zod";
import { fromHex, toHex, utf8 } from "../base/bytes.js";
import { readRegularSync, readRegularSyncIfThere, writeFileAtomicallySync } from "../base/disk/index.node.js";
import { KasminaError, messageOf } from "../base/errors.js";
import { environmentWithKeys } from "../base/quiet-runtime.node.js";
import { ED25519_KEY_BYTES } from "./ed25519.js";
import { nodeCrypto } from "./key-crypto.node.js";
import { type Key, KeyRing, MIN_SECRET_BYTES } from "./key-ring.js";
import { KEY_ROLES, type KeyRole } from "./roles.js";

export const KEYS_VARIABLE = "KASMINA_KEYS";
/** Of a key file: 8 keys take 2 KiB. */
const MAX_BYTES = 64 * 1024;
/** Keys kept for verifying after a rotation. */
export const MAX_KEYS = 8;

export const KEY_KINDS = ["hmac", "ed25519"] as const;
export type KeyKind = (typeof KEY_KINDS)[number];

const secret = z.string().regex(/^([0-9a-f]{2})+$/, "must be hex digits");
const ownerSchema = {
  id: z.string(),
  created_at: z.string(),
  /** Left out: the owner's, everything is granted. */
  role: z.enum(KEY_ROLES).optional(),
  issuer: z.string().min(1).max(256).optional(),
  revoked_at: z.string().optional(),
};
const hmacSchema = z.strictObject({ ...ownerSchema, kind: z.literal("hmac").optional(), secret });
const ed25519Schema = z.strictObject({
  ...ownerSchema,
  kind: z.literal("ed25519"),
  public_key: secret,
  /** Left out where somebody else signs. */
  secret: secret.optional(),
});
const fileSchema = z.strictObject({
  /** Which key signs. */
  active: z.string(),
  keys: z.array(z.union([hmacSchema, ed25519Schema])).min(1),
});
type KeyFile = z.infer<typeof fileSchema>;
type StoredKey = KeyFile["keys"][number];

/** A key as it may be shown. */
export interface KeyInfo {
  readonly id: string;
  readonly createdAt: string;
  readonly kind: KeyKind;
  /** Undefined: it may do everything. */
  readonly role: KeyRole | undefined;
  readonly issuer: string | undefined;
  /** `signs`: the active one; `verifies`; `revoked`. */
  readonly use: "signs" | "verifies" | "revoked";
}

/** Of a new key. */
export interface KeyRequest {
  /** Default: hmac. */
  readonly kind?: KeyKind | undefined;
  /** Default: none, it may do everything. */
  readonly role?: KeyRole | undefined;
  /** The only `issued_by` of its commands. Default: any. */
  readonly issuer?: string | undefined;
}

/**
 * The ring of a key file.
 * @throws KasminaError `io` where it cannot be read or others may read it, `invalid_data` where it is none
 */
export function readKeyFile(path: string): KeyRing {
  return new KeyRing(keysIn(path), nodeCrypto);
}

/** The keys of a file, the active one first. @throws as {@link readKeyFile} */
export function keysIn(path: string): Key[] {
  const file = load(path);
  const active = file.keys.filter(({ id }) => id === file.active);
  if (active.length === 0)
    throw new KasminaError("invalid_data", `key file ${path}: the active key ${file.active} is missing`);
  const others = file.keys.filter(({ id }) => id !== file.active);
  return [...active, ...others].map(toKey);
}

/** Adds a fresh key, which signs from now on; older ones go on verifying, the oldest leave. Creates the file. */
export function addKey(
  path: string,
  nowMs: number,
  { kind = "hmac", role, issuer }: KeyRequest = {},
): KeyInfo {
  const known = hasKeyFile(path) ? load(path).keys : [];
  const createdAt = new Date(nowMs).toISOString();
  const id = `k-${createdAt.slice(0, 10)}-${randomBytes(3).toString("hex")}`;
  const owner = { id, created_at: createdAt, ...(role && { role }), ...(issuer !== undefined && { issuer }) };
  const key = kind === "hmac" ? { ...owner, secret: toHex(randomBytes(MIN_SECRET_BYTES)) } : pairOf(owner);
  save(path, { active: id, keys: [...known, key].slice(-MAX_KEYS) });
  return shown(key, id);
}

function pairOf(owner: Pick<StoredKey, "id" | "created_at" | "role" | "issuer">): StoredKey {
  const seed = Uint8Array.from(randomBytes(ED25519_KEY_BYTES));
  const publicKey = nodeCrypto.ed25519.publicKey(seed);
  return { ...owner, kind: "ed25519", public_key: toHex(publicKey), secret: toHex(seed) };
}

/**
 * Revokes a key: what it signs from now on is refused. It stays in the file, so that a run knows its own work again.
 * @throws KasminaError `invalid_argument` where there is no such key, or where it is the one that signs
 */
export function revokeKey(path: string, id: string, nowMs: number): KeyInfo {
  const { active, keys } = load(path);
  const key = keys.find((one) => one.id === id);
  if (!key)
    throw new KasminaError("invalid_argument", `${path} has no key ${id}: \`kasmina keys list\` shows them`);
  if (id === active)
    throw new KasminaError(
      "invalid_argument",
      `key ${id} signs: make another first (\`kasmina keys new\`), then revoke it`,
    );
  const revoked = { ...key, revoked_at: key.revoked_at ?? new Date(nowMs).toISOString() };
  save(path, { active, keys: keys.map((one) => (one.id === id ? revoked : one)) });
  return shown(revoked, active);
}

/**
 * Adds the public halves of a file's Ed25519 keys to another key file, which can then verify what they sign, and sign nothing by them.
 * @returns the keys that were added or replaced
 * @throws KasminaError `invalid_argument` where `from` has none, or `to` is no key file yet: it needs a key of its own first
 */
export function sharePublicKeys(from: string, to: string): readonly KeyInfo[] {
  // What came from elsewhere is not handed on: it may be the very key of whoever it would go to.
  const pairs = load(from).keys.flatMap((key) =>
    key.kind === "ed25519" && key.secret !== undefined ? [withoutSecret(key)] : [],
  );
  if (pairs.length === 0)
    throw new KasminaError(
      "invalid_argument",
      `${from} has no Ed25519 key of its own: \`kasmina keys new --kind ed25519\``,
    );
  if (!hasKeyFile(to))
    throw new KasminaError(
      "invalid_argument",
      `${to} is no key file: whoever verifies seals with a key of their own (\`kasmina keys new --role trainer --file ${to}\`)`,
    );
  const { active, keys } = load(to);
  const others = keys.filter(({ id }) => !pairs.some((pair) => pair.id === id));
  if (others.length + pairs.length > MAX_KEYS)
    throw new KasminaError("invalid_argument", `${to} would hold more than ${MAX_KEYS} keys`);
  save(to, { active, keys: [...others, ...pairs] });
  return pairs.map((pair) => shown(pair, active));
}

function withoutSecret({ secret: _, ...key }: Extract<StoredKey, { kind: "ed25519" }>) {
  return key;
}

/**
 * Whether there is a key file.
 * @throws KasminaError `io` or `corrupt` where there is something else than a file of ours that we alone can read
 */
export function hasKeyFile(path: string): boolean {
  return explained(() => readRegularSyncIfThere(path, SECRET)) !== undefined;
}

/** What may be shown of a key file: never a secret. */
export function listKeys(path: string): readonly KeyInfo[] {
  const { active, keys } = load(path);
  return keys.map((key) => shown(key, active));
}

function shown(
  { id, created_at, kind = "hmac", role, issuer, revoked_at }: StoredKey,
  active: string,
): KeyInfo {
  const use = revoked_at !== undefined ? "revoked" : id === active ? "signs" : "verifies";
  return { id, createdAt: created_at, kind, role, issuer, use };
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
    return { id, secret: fromHex(hex) };
  });
  return new KeyRing(keys, nodeCrypto);
}

/** The environment's keys where it has any, else the file's. */
export function loadKeys(
  path: string,
  environment: Readonly<Record<string, string | undefined>> = environmentWithKeys(),
): KeyRing {
  const value = environment[KEYS_VARIABLE];
  return value ? keysFromEnvironment(value) : readKeyFile(path);
}

function toKey({ id, role, issuer, revoked_at, ...key }: StoredKey): Key {
  const owner = {
    id,
    ...(role && { role }),
    ...(issuer !== undefined && { issuer }),
    ...(revoked_at !== undefined && { revoked: true }),
  };
  if (key.kind !== "ed25519") return { ...owner, secret: fromHex(key.secret) };
  return {
    ...owner,
    publicKey: fromHex(key.public_key),
    ...(key.secret !== undefined && { seed: fromHex(key.secret) }),
  };
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
