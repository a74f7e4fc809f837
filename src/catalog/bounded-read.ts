/** Reads a file whose size nobody vouches for. */
import { constants, open } from "node:fs/promises";
import { KasminaError, messageOf } from "../base/index.js";

/**
 * The whole of a plain file. Its size is checked before a byte is allocated; links are not followed.
 * @throws KasminaError `io` where it cannot be read, `corrupt` where it is no plain file, too large, or changes size
 */
export async function readBounded(path: string, maxBytes: number): Promise<Uint8Array> {
  const file = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0)).catch((error: unknown) => {
    throw new KasminaError("io", `cannot read ${path}: ${messageOf(error)}`, { cause: error });
  });
  try {
    const { size, isPlain } = await file
      .stat()
      .then((stats) => ({ size: stats.size, isPlain: stats.isFile() }));
    if (!isPlain) throw new KasminaError("corrupt", `${path} is not a plain file`);
    if (size > maxBytes)
      throw new KasminaError("corrupt", `${path} has ${size} bytes, ${maxBytes} are allowed`);
    // One byte more than the size, so that a file that grows meanwhile is noticed.
    const buffer = new Uint8Array(size + 1);
    let filled = 0;
    for (let read = -1; read !== 0 && filled < buffer.length; filled += read)
      read = (await file.read(buffer, filled, buffer.length - filled)).bytesRead;
    if (filled !== size) throw new KasminaError("corrupt", `${path} changed while it was read`);
    return buffer.subarray(0, size);
  } finally {
    // Nobody needs to wait for it.
    file.close().catch(() => undefined);
  }
}
