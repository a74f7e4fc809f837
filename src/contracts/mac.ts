/** HMAC-SHA-256 (RFC 2104, FIPS 198-1) behind one small interface, so that Node may bring a faster one. */
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";

/** Computes the 32-byte MAC of its argument under the key it was made for. */
export type Mac = (data: Uint8Array) => Uint8Array;
/** Makes the {@link Mac} of one key. */
export type MacFactory = (secret: Uint8Array) => Mac;

export const MAC_BYTES = 32;

/** Runs everywhere; the key's two pads are hashed once, when the Mac is made. */
export const portableMac: MacFactory = (secret) => {
  const keyed = hmac.create(sha256, secret);
  return (data) => keyed.clone().update(data).digest();
};

/**
 * Whether two MACs are the same, in time that depends on their length alone. JavaScript promises no constant
 * time below this level; the loop has no early way out and no branch on the bytes.
 */
export function equalMacs(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}
