/** Bytes: text, hex, SHA-256. Works in Node and in browsers alike. */
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";

const encoder = new TextEncoder();

export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

/** A whole number as four bytes, big-endian. */
export function u32be(value: number): Uint8Array {
  return new Uint8Array([value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff]);
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

export function toHex(bytes: Uint8Array): string {
  let out = "";
  for (const byte of bytes) out += HEX[byte];
  return out;
}

/** The bytes that {@link toHex} wrote. */
export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Node's own, where this is Node: it is 20 times as fast as the portable way (0.15 and 3 µs for 150 bytes). */
const nodeBuffer = globalThis.process?.getBuiltinModule?.("buffer")?.Buffer;

/** Standard base64, padded. */
export function toBase64(bytes: Uint8Array): string {
  if (!nodeBuffer) return portableBase64(bytes);
  return nodeBuffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}

/** What {@link toBase64} does in a browser. */
export function portableBase64(bytes: Uint8Array): string {
  let latin1 = "";
  // In parts: the arguments of one call lie on the stack.
  for (let at = 0; at < bytes.length; at += 4_096)
    latin1 += String.fromCharCode(...bytes.subarray(at, at + 4_096));
  return btoa(latin1);
}

/** Node's own SHA-256, where this is Node: it is 18 times as fast as the portable one (13 and 240 ms for 16 MiB). */
const nodeCrypto = globalThis.process?.getBuiltinModule?.("crypto");

/** SHA-256 of the parts one after another, each bytes or text as UTF-8, as 64 hex digits. */
export function sha256Hex(...parts: readonly (Uint8Array | string)[]): string {
  const bytes = parts.map((part) => (typeof part === "string" ? utf8(part) : part));
  const hash = nodeCrypto?.createHash("sha256") ?? nobleSha256.create();
  for (const part of bytes) hash.update(part);
  const digest: Uint8Array = hash.digest();
  return toHex(digest);
}
