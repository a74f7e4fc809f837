/** Text of a file that is larger than memory, piece by piece, unpacked where it is gzip; a file that changes meanwhile is refused. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { KasminaError, messageOf } from "../base/errors.js";
import { TextDecoding } from "./decode.js";

const CHUNK_BYTES = 256 * 1024;
/** A packed byte may be a thousand unpacked ones: so many wait at most. */
const UNPACKED_BYTES = 64 * 1024;

/** Bytes that a file has on disk; 0 where there is no file. */
export function sizeOnDisk(path: string): Promise<number> {
  return stat(path).then(
    (stats) => (stats.isFile() ? stats.size : 0),
    () => 0,
  );
}

/**
 * @param name names the data in errors
 * @param encoding as `?encoding=` says it
 * @throws KasminaError `invalid_data` for a file that cannot be read, is broken gzip, changes while it is read, or has bytes that are
 * not in the encoding, by line
 */
export async function* streamText(path: string, name: string, encoding?: string): AsyncGenerator<string> {
  const before = await statOf(path);
  const decoding = new TextDecoding(name, encoding);
  for await (const bytes of bytesIn(path)) {
    const text = decoding.decode(bytes);
    if (text !== "") yield text;
  }
  yield decoding.end();
  const after = await statOf(path);
  if (before.size !== after.size) throw changed(path, `it had ${before.size} bytes and has ${after.size}`);
  if (before.mtimeMs !== after.mtimeMs)
    throw changed(path, `it was written at ${new Date(after.mtimeMs).toISOString()}`);
}

function changed(path: string, how: string): KasminaError {
  return new KasminaError("invalid_data", `${path} changed while it was read: ${how}`);
}

async function statOf(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    const what =
      (error as NodeJS.ErrnoException).code === "ENOENT" ? "there is no such file" : messageOf(error);
    throw new KasminaError("invalid_data", `cannot read ${path}: ${what}`, { cause: error });
  }
}

async function* bytesIn(path: string): AsyncGenerator<Uint8Array> {
  const packed = await isPacked(path);
  const file = createReadStream(path, { highWaterMark: CHUNK_BYTES });
  const stream = packed ? file.pipe(createGunzip({ chunkSize: UNPACKED_BYTES })) : file;
  // What is wrong with the file ends what unpacks it too.
  if (packed) file.on("error", (error) => stream.destroy(error));
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) yield chunk;
  } catch (error) {
    if (error instanceof KasminaError) throw error;
    const what = packed ? `${path} is not a complete gzip file` : `cannot read ${path}`;
    throw new KasminaError("invalid_data", `${what}: ${messageOf(error)}`, { cause: error });
  } finally {
    file.destroy();
  }
}

async function isPacked(path: string): Promise<boolean> {
  const start: number[] = [];
  for await (const chunk of createReadStream(path, { end: 1 }) as AsyncIterable<Uint8Array>)
    for (const byte of chunk) start.push(byte);
  return start[0] === 0x1f && start[1] === 0x8b;
}
