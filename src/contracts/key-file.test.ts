import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { decodeEnvelope, signatureProblem, signEnvelope } from "./envelope.js";
import {
  addKey,
  keysFromEnvironment,
  listKeys,
  loadKeys,
  MAX_KEYS,
  readKeyFile,
  revokeKey,
  sharePublicKeys,
} from "./key-file.node.js";

let folder = "";
let path = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "kasmina-keys-"));
  path = join(folder, "keys");
});
afterEach(() => rmSync(folder, { recursive: true }));

test("a new key signs, the older ones verify, the oldest leave", () => {
  const made = Array.from({ length: MAX_KEYS + 2 }, (_, day) => addKey(path, day * 86_400_000).id);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const ring = readKeyFile(path);
  expect(ring.activeId).toBe(made.at(-1));
  expect(new Set(ring.ids)).toEqual(new Set(made.slice(2)));
  expect(
    listKeys(path)
      .filter(({ use }) => use === "signs")
      .map(({ id }) => id),
  ).toEqual([made.at(-1)]);
});

test("what is listed holds no secret", () => {
  addKey(path, 0);
  const { keys } = JSON.parse(readFileSync(path, "utf8")) as { keys: { secret: string }[] };
  expect(keys[0]?.secret).toMatch(/^[0-9a-f]{64}$/);
  expect(JSON.stringify(listKeys(path))).not.toContain(keys[0]?.secret);
});

test("a file that others can read is refused", () => {
  addKey(path, 0);
  chmodSync(path, 0o640);
  expect(() => readKeyFile(path)).toThrow(/can be read by others: chmod 600/);
});

test.each([
  ["not there", undefined, /ENOENT/],
  ["not JSON", "{", /is not JSON/],
  ["something else", "{}", /is not one/],
  ["a short secret", key("aa"), /needs at least 32/],
  [
    "no active key",
    key("aa".repeat(32)).replace('"active":"k"', '"active":"x"'),
    /the active key x is missing/,
  ],
])("a key file that is %s is refused without quoting it", (_, text, message) => {
  if (text !== undefined) writeFileSync(path, text, { mode: 0o600 });
  expect(() => readKeyFile(path)).toThrow(message);
});

function key(secret: string): string {
  return JSON.stringify({ active: "k", keys: [{ id: "k", created_at: "now", secret }] });
}

test("the environment's keys come before the file's", () => {
  const value = `e1:${"ab".repeat(32)}, e0:${"cd".repeat(32)}`;
  expect(keysFromEnvironment(value).ids).toEqual(["e1", "e0"]);
  expect(loadKeys(path, { KASMINA_KEYS: value }).activeId).toBe("e1");
  addKey(path, 0);
  expect(loadKeys(path, {}).ids).toHaveLength(1);
});

test("a bad value in the environment is refused without quoting it", () => {
  for (const value of ["secret", "e1:zz", `e1:${"ab".repeat(8)}`]) {
    try {
      keysFromEnvironment(value);
      expect.unreachable();
    } catch (error) {
      expect(String(error)).not.toContain(value.split(":")[1] ?? value);
    }
  }
});

test.each([
  ["secret and id", `${"ab".repeat(32)}:01`],
  ["a secret in base64 and the id", `${"q+/0".repeat(11)}:01`],
  ["those of the second key", `e1:${"cd".repeat(32)},${"ab".repeat(32)}:02`],
  ["a secret that is too long for an id", `${"ab".repeat(48)}:01`],
])("where %s are swapped in the environment, the secret is not quoted", (_, value) => {
  try {
    keysFromEnvironment(value);
    expect.unreachable();
  } catch (error) {
    expect(String(error)).toMatch(/key [12] of the ring/);
    expect(String(error)).not.toMatch(/abab|q\+\/0/);
  }
});

test("secret and id that are swapped in a file are not quoted either", () => {
  const swapped = {
    active: "ab".repeat(32),
    keys: [{ id: "ab".repeat(32), created_at: "now", secret: "01" }],
  };
  writeFileSync(path, JSON.stringify(swapped), { mode: 0o600 });
  expect(() => readKeyFile(path)).toThrow(/^key 1 of the ring: it has 1 bytes/);
});

test("a file of before there were kinds and roles holds a key for everything", () => {
  writeFileSync(path, key("aa".repeat(32)), { mode: 0o600 });
  expect(readKeyFile(path).active).toMatchObject({ id: "k", role: undefined, issuer: undefined });
  expect(listKeys(path)).toMatchObject([{ kind: "hmac", role: undefined, use: "signs" }]);
});

test("kind, role and issuer of a key are kept", () => {
  addKey(path, 0, { kind: "ed25519", role: "policy", issuer: "tamiyo" });
  expect(listKeys(path)).toMatchObject([{ kind: "ed25519", role: "policy", issuer: "tamiyo" }]);
  expect(readKeyFile(path).active).toMatchObject({ role: "policy", issuer: "tamiyo", signatureBytes: 64 });
});

test("a revoked key verifies nothing, and its seals still hold", () => {
  const { id } = addKey(path, 0);
  expect(() => revokeKey(path, id, 1)).toThrow(/make another first/);
  addKey(path, 1);
  expect(revokeKey(path, id, 2)).toMatchObject({ id, use: "revoked" });
  const ring = readKeyFile(path);
  expect(ring.find(id)).toBeUndefined();
  expect(ring.sealingMac(id)).toBeDefined();
  expect(() => revokeKey(path, "k-none", 1)).toThrow(/has no key k-none/);
});

test("who gets the public halves can verify and not sign", () => {
  const trainer = join(folder, "trainer");
  const { id } = addKey(path, 0, { kind: "ed25519", role: "policy" });
  expect(() => sharePublicKeys(path, trainer)).toThrow(/seals with a key of their own/);
  addKey(trainer, 0, { role: "trainer" });
  expect(sharePublicKeys(path, trainer)).toMatchObject([{ id, use: "verifies" }]);
  sharePublicKeys(path, trainer);
  addKey(trainer, 1, { kind: "ed25519", role: "trainer" });
  sharePublicKeys(trainer, path);
  expect(readKeyFile(path).find(id)?.sign).toBeDefined(); // its own half did not come back instead of it
  const secrets = (JSON.parse(readFileSync(path, "utf8")) as { keys: { secret: string }[] }).keys;
  expect(readFileSync(trainer, "utf8")).not.toContain(secrets[0]?.secret);
  const ring = readKeyFile(trainer);
  expect(ring.find(id)?.sign).toBeUndefined();
  const context = "kasmina.command.v1";
  const envelope = decodeEnvelope(signEnvelope(readKeyFile(path), context, Uint8Array.of(1)));
  expect(envelope && signatureProblem(ring, context, envelope)).toBeUndefined();
});

test("whoever seals needs a secret of their own", () => {
  addKey(path, 0, { kind: "ed25519" });
  expect(() => readKeyFile(path).sealingId).toThrow(/kasmina keys new --role trainer/);
  addKey(path, 1);
  const pair = addKey(path, 2, { kind: "ed25519" });
  const ring = readKeyFile(path);
  expect(ring.activeId).toBe(pair.id);
  expect(ring.sealingMac(ring.sealingId)).toBeDefined();
});
