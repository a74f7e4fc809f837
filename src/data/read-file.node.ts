/** Bytes of a file, unpacked where they are gzip, whatever the file is called; never more of them than were to be expected. */
import { readFile } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { KasminaError, messageOf } from "../base/errors.js";

/** Longer texts do not fit into a string (V8: 2^29 − 24 characters). */
export const TEXT_BYTES_MAX = 2 ** 29 - 24;

/** How many bytes a file has, by its beginning; undefined as long as there is too little of it to say. */
export type SizeOf = (start: Uint8Array) => number | undefined;

/**
 * @param sizeOf of the unpacked bytes: unpacking ends one byte further, so that a small file cannot fill the memory
 * @throws KasminaError `invalid_data` where the file cannot be read, or is broken gzip
 */
export async function readPlain(path: string, sizeOf: SizeOf): Promise<Uint8Array> {
  const bytes = await readIfThere(path);
  if (!bytes) throw new KasminaError("invalid_data", `cannot read ${path}: there is no such file`);
  return unpacked(bytes, path, sizeOf);
}

/** As {@link readPlain}; undefined where there is no such file. */
export async function readPlainIfThere(path: string, sizeOf: SizeOf): Promise<Uint8Array | undefined> {
  const bytes = await readIfThere(path);
  return bytes && unpacked(bytes, path, sizeOf);
}

/** The bytes of a text. @throws KasminaError `invalid_data` where there are more than fit into a string */
export async function readTextBytes(path: string): Promise<Uint8Array> {
  const bytes = await readPlain(path, () => TEXT_BYTES_MAX);
  if (bytes.length <= TEXT_BYTES_MAX) return bytes;
  throw new KasminaError("invalid_data", `${path} is too large: a text may have ${TEXT_BYTES_MAX} bytes`);
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new KasminaError("invalid_data", `cannot read ${path}: ${messageOf(error)}`, { cause: error });
  }
}

async function unpacked(bytes: Uint8Array, path: string, sizeOf: SizeOf): Promise<Uint8Array> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const stream = createGunzip();
  stream.end(bytes);
  const chunks: Uint8Array[] = [];
  let length = 0;
  let limit = Number.POSITIVE_INFINITY;
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      chunks.push(chunk);
      length += chunk.length;
      if (limit === Number.POSITIVE_INFINITY) limit = sizeOf(Buffer.concat(chunks)) ?? limit;
      if (length > limit) break;
    }
  } catch (error) {
    throw new KasminaError("invalid_data", `${path} is not a complete gzip file: ${messageOf(error)}`, {
      cause: error,
    });
  }
  return Buffer.concat(chunks);
}
