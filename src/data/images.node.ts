/**
 * Folders of PNG and JPEG images, laid out as Hugging Face's imagefolder has them: `<folder>/<class>/*`, the same below `train/`,
 * `validation/` and `test/`, or with a `metadata.csv` or `metadata.jsonl` that names file and label.
 * https://huggingface.co/docs/datasets/image_dataset. Decoded by sharp, which whoever has images installs.
 */
import { readdir, stat } from "node:fs/promises";
import { basename, extname, join, relative, sep } from "node:path";
import { KasminaError, messageOf } from "../base/errors.js";
import type { Dataset, ImageEncoding } from "../contracts/dataset.js";
import { datasetFromArrays } from "./arrays.js";
import { decodeText } from "./decode.js";
import { classesOf, isMissing, MISSING_VALUES } from "./labels.js";
import { readPlain, readTextBytes } from "./read-file.node.js";
import { parseJsonLines } from "./records.js";
import type { RowsInput } from "./rows.js";
import { stratifiedSplit } from "./split.js";
import { listed, parseTable, type Table } from "./table.js";

const INSTALL = "npm install sharp";
const ENDINGS: ReadonlySet<string> = new Set([".png", ".jpg", ".jpeg"]);
const MISSING: ReadonlySet<string> = new Set(MISSING_VALUES);
/** What file managers leave in folders. */
const LITTER: ReadonlySet<string> = new Set(["Thumbs.db", "desktop.ini"]);
const METADATA = ["metadata.csv", "metadata.jsonl"] as const;
const FILE_MAX_BYTES = 2 ** 28;
const TEST_FRACTION = 0.2;
/** More take gigabytes to decode; cameras make 60 million. */
const MAX_PIXELS = 2 ** 26;
/** Of one bit each, packed as well as PNG can: whoever claims more has damaged a header. */
const PIXELS_A_BYTE = 10_000;
/** sharp decodes in threads of its own. */
const DECODED_AT_ONCE = 8;

/** Names that Hugging Face takes for each split: https://huggingface.co/docs/datasets/repository_structure */
const SPLITS = {
  train: ["train", "training"],
  heldOut: ["validation", "valid", "val", "dev"],
  test: ["test", "testing", "eval", "evaluation"],
} as const;

export interface ImageFolderOptions {
  /** Height and width of an input, 1 .. 1024; default 32. */
  readonly size?: number;
  /** 1: grey, 3: red, green and blue; default 3. */
  readonly channels?: 1 | 3;
  /** Part of each class that becomes the test set where there is no `test/`; default 0.2. */
  readonly testFraction?: number;
  /** Column of the class in `metadata.csv` or `metadata.jsonl`; default `label`. */
  readonly label?: string;
  readonly splitSeed?: number;
}

interface LabelledFile {
  readonly path: string;
  readonly label: string;
}

/**
 * A dataset of images of any sizes: each is turned as its EXIF orientation says, laid on white where it is transparent, scaled (Lanczos) to cover the
 * square and cut to its middle. Inputs are bytes [size, size, channels], scaled to 0..1.
 *
 * @throws KasminaError `unavailable` without sharp, `invalid_data` by file for what is no image, has no class, or is of a class that no
 * training image has
 */
export async function openImageFolder(folder: string, options: ImageFolderOptions = {}): Promise<Dataset> {
  const { size = 32, channels = 3, splitSeed = 0, testFraction = TEST_FRACTION, label = "label" } = options;
  const name = `images:${folder}`;
  const images: ImageEncoding = { size, channels, mean: 0, deviation: 255, layout: "NHWC" };
  const parts = await partsOf(folder, label, name);
  const { classNames, labels } = classesOf(
    parts.train.map((file) => file.label),
    // Whatever a folder is called, it is a class; what a table of metadata lacks is refused where it is read.
    new Set(),
    { name, column: label },
  );
  const rows = async (files: readonly LabelledFile[]): Promise<RowsInput> => ({
    inputs: await decoded(
      files.map(({ path }) => path),
      images,
    ),
    labels: numbersOf(files, classNames),
  });
  const split = parts.test ? undefined : stratifiedSplit(labels, testFraction, splitSeed);
  const taken = (places: Int32Array): LabelledFile[] =>
    Array.from(places, (place) => parts.train[place] as LabelledFile);
  const heldOut = parts.heldOut && (await rows(parts.heldOut));
  const dataset = datasetFromArrays({
    name,
    inputShape: [size, size, channels],
    classes: classNames.length,
    classNames,
    train: await rows(split ? taken(split.kept) : parts.train),
    test: await rows(split ? taken(split.taken) : (parts.test ?? [])),
    ...(heldOut && { heldOut }),
    splitSeed,
  });
  return { ...dataset, images };
}

/**
 * Images that a network has not seen, in the order of their names: one file, or all below a folder.
 *
 * @param classNames where the images are to be compared with their labels: those of `test/` where there is one
 * @throws KasminaError as {@link openImageFolder} does
 */
export async function readImages(
  path: string,
  images: ImageEncoding,
  { classNames, label = "label" }: { readonly classNames?: readonly string[]; readonly label?: string },
): Promise<{ readonly inputs: Uint8Array; readonly labels?: Int32Array; readonly files: readonly string[] }> {
  const name = `images:${path}`;
  if (classNames) {
    const parts = await partsOf(path, label, name);
    const files = parts.test ?? parts.train;
    const paths = files.map((file) => file.path);
    return { inputs: await decoded(paths, images), labels: numbersOf(files, classNames), files: paths };
  }
  const files = (await kindOf(path, name)) === "file" ? [path] : await imagesBelow(path);
  if (files.length === 0) throw new KasminaError("invalid_data", `${name} has no images (PNG or JPEG)`);
  return {
    inputs: await decoded(files, images),
    files: files.map((file) => (file === path ? basename(file) : portable(relative(path, file)))),
  };
}

function portable(path: string): string {
  return path.split(sep).join("/");
}

async function kindOf(path: string, name: string): Promise<"file" | "folder"> {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file";
  } catch (error) {
    throw new KasminaError("invalid_data", `cannot read ${name}: there is no such file or folder`, {
      cause: error,
    });
  }
}

interface Entries {
  readonly folders: readonly string[];
  readonly files: readonly string[];
}

/** In the order of their names, which no file system promises. */
async function entriesOf(folder: string): Promise<Entries> {
  const entries = (await readdir(folder, { withFileTypes: true }))
    .filter(({ name }) => !name.startsWith(".") && !LITTER.has(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const odd = entries.find((entry) => !entry.isFile() && !entry.isDirectory());
  if (odd)
    throw new KasminaError(
      "invalid_data",
      `${join(folder, odd.name)} is neither a file nor a folder (a link?)`,
    );
  const named = (files: boolean): string[] =>
    entries.filter((entry) => entry.isFile() === files).map((entry) => entry.name);
  return { folders: named(false), files: named(true) };
}

async function imagesBelow(folder: string): Promise<string[]> {
  const { folders, files } = await entriesOf(folder);
  const own = imagesAmong(folder, files);
  const below: string[][] = [];
  for (const one of folders) below.push(await imagesBelow(join(folder, one)));
  return [own, ...below].flat();
}

/** @throws KasminaError `invalid_data` for a file of another kind */
function imagesAmong(folder: string, files: readonly string[]): string[] {
  const wanted = files.filter((file) => !(METADATA as readonly string[]).includes(file));
  const other = wanted.find((file) => !ENDINGS.has(extname(file).toLowerCase()));
  if (other !== undefined)
    throw new KasminaError(
      "invalid_data",
      `${join(folder, other)} is no image: .png, .jpg and .jpeg are read`,
    );
  return wanted.map((file) => join(folder, file));
}

type Parts = { readonly train: readonly LabelledFile[] } & {
  readonly [split in "heldOut" | "test"]?: readonly LabelledFile[];
};

async function partsOf(folder: string, label: string, name: string): Promise<Parts> {
  if ((await kindOf(folder, name)) === "file")
    throw new KasminaError("invalid_data", `${name} is a file: labels come from a folder of class folders`);
  const { folders } = await entriesOf(folder);
  const splitFolder = (split: keyof typeof SPLITS): string | undefined =>
    folders.find((one) => (SPLITS[split] as readonly string[]).includes(one.toLowerCase()));
  const train = splitFolder("train");
  if (train === undefined) return { train: await labelledFiles(folder, label) };
  const heldOut = splitFolder("heldOut");
  const test = splitFolder("test");
  const other = folders.find((one) => ![train, heldOut, test].includes(one));
  if (other !== undefined)
    throw new KasminaError("invalid_data", `${join(folder, other)} is no split, but stands beside ${train}/`);
  return {
    train: await labelledFiles(join(folder, train), label),
    ...(heldOut !== undefined && { heldOut: await labelledFiles(join(folder, heldOut), label) }),
    ...(test !== undefined && { test: await labelledFiles(join(folder, test), label) }),
  };
}

async function labelledFiles(folder: string, label: string): Promise<LabelledFile[]> {
  const { folders, files } = await entriesOf(folder);
  const metadata = METADATA.filter((file) => files.includes(file));
  if (metadata.length > 1)
    throw new KasminaError("invalid_data", `${folder} has ${listed(metadata)}: one of them says the labels`);
  const [described] = metadata;
  if (described !== undefined) return filesInMetadata(folder, described, label);
  const [loose] = imagesAmong(folder, files);
  if (loose !== undefined)
    throw new KasminaError(
      "invalid_data",
      `${loose} has no class: it lies in no class folder, and there is no metadata.csv`,
    );
  if (folders.length === 0)
    throw new KasminaError("invalid_data", `${folder} has no class folders: <folder>/<class>/<image>.png`);
  const labelled: LabelledFile[] = [];
  for (const one of folders) {
    const inside = await entriesOf(join(folder, one));
    const [nested] = inside.folders;
    if (nested !== undefined)
      throw new KasminaError(
        "invalid_data",
        `${join(folder, one, nested)} is a folder within a class folder`,
      );
    const paths = imagesAmong(join(folder, one), inside.files);
    if (paths.length === 0)
      throw new KasminaError("invalid_data", `class folder ${join(folder, one)} has no images`);
    for (const path of paths) labelled.push({ path, label: one });
  }
  return labelled;
}

async function filesInMetadata(folder: string, file: string, label: string): Promise<LabelledFile[]> {
  const path = join(folder, file);
  const table = await metadataTable(path);
  const fileAt = table.columns.indexOf("file_name");
  const labelAt = table.columns.indexOf(label);
  const lacking = fileAt < 0 ? "file_name" : labelAt < 0 ? label : undefined;
  if (lacking !== undefined)
    throw new KasminaError(
      "invalid_data",
      `${path} has no column "${lacking}"; it has ${listed(table.columns)}`,
    );
  const there = new Set((await imagesBelow(folder)).map((one) => portable(relative(folder, one))));
  return table.records.map((record, row) => {
    const image = record[fileAt] ?? "";
    // Only what was found below the folder is opened: a path that leaves it is none of these.
    if (!there.delete(image))
      throw new KasminaError(
        "invalid_data",
        `${path}: row ${row + 1}, column "file_name": there is no image "${image}", or a row before names it`,
      );
    const said = record[labelAt] ?? "";
    if (isMissing(said, MISSING))
      throw new KasminaError(
        "invalid_data",
        `${path}: row ${row + 1}, column "${label}": ${image} has no label`,
      );
    return { path: join(folder, image), label: said };
  });
}

async function metadataTable(path: string): Promise<Table> {
  const text = decodeText(await readTextBytes(path), path, undefined, undefined);
  return path.endsWith(".jsonl") ? parseJsonLines(text, path) : parseTable(text, path);
}

function numbersOf(files: readonly LabelledFile[], classNames: readonly string[]): Int32Array {
  const numberOf = new Map(classNames.map((one, i) => [one, i]));
  return Int32Array.from(files, ({ path, label }) => {
    const found = numberOf.get(label);
    if (found !== undefined) return found;
    throw new KasminaError(
      "invalid_data",
      `${path} is of class "${label}", which is none of the classes ${listed(classNames)}`,
    );
  });
}

async function decoded(paths: readonly string[], images: ImageEncoding): Promise<Uint8Array> {
  const sharp = await load();
  const perImage = images.size * images.size * images.channels;
  const inputs = new Uint8Array(paths.length * perImage);
  for (let start = 0; start < paths.length; start += DECODED_AT_ONCE) {
    const some = paths.slice(start, start + DECODED_AT_ONCE);
    const settled = await Promise.allSettled(some.map((path) => decode(sharp, path, images)));
    settled.forEach((one, i) => {
      if (one.status === "rejected") throw one.reason;
      inputs.set(one.value, (start + i) * perImage);
    });
  }
  return inputs;
}

async function decode(sharp: Sharp, path: string, { size, channels }: ImageEncoding): Promise<Uint8Array> {
  const bytes = await readPlain(path, () => FILE_MAX_BYTES);
  // sharp reads more formats than these, SVG with its links among them.
  if (!isPng(bytes) && !isJpeg(bytes))
    throw new KasminaError("invalid_data", `${path} is neither PNG nor JPEG, whatever it is called`);
  const limitInputPixels = Math.min(MAX_PIXELS, PIXELS_A_BYTE * bytes.length);
  try {
    const upright = sharp(bytes, { limitInputPixels, sequentialRead: true })
      .rotate()
      .flatten({ background: "#ffffff" });
    const square = upright.resize(size, size, { fit: "cover", kernel: "lanczos3" });
    const coloured = channels === 1 ? square.greyscale().toColourspace("b-w") : square.toColourspace("srgb");
    return await coloured.raw({ depth: "uchar" }).toBuffer();
  } catch (error) {
    const what = messageOf(error).split("\n")[0];
    throw new KasminaError("invalid_data", `${path} is no image that can be read: ${what}`, { cause: error });
  }
}

function isPng(bytes: Uint8Array): boolean {
  return [0x89, 0x50, 0x4e, 0x47].every((byte, i) => bytes[i] === byte);
}

function isJpeg(bytes: Uint8Array): boolean {
  return [0xff, 0xd8, 0xff].every((byte, i) => bytes[i] === byte);
}

/** What is used of sharp: its own types are there only where it is installed. */
interface SharpImage {
  rotate(): SharpImage;
  flatten(options: { readonly background: string }): SharpImage;
  resize(
    width: number,
    height: number,
    options: { readonly fit: "cover"; readonly kernel: "lanczos3" },
  ): SharpImage;
  greyscale(): SharpImage;
  toColourspace(name: "b-w" | "srgb"): SharpImage;
  raw(options: { readonly depth: "uchar" }): SharpImage;
  toBuffer(): Promise<Uint8Array>;
}
type Sharp = (
  bytes: Uint8Array,
  options: { readonly limitInputPixels: number; readonly sequentialRead: boolean },
) => SharpImage;

const SHARP: string = "sharp";

async function load(): Promise<Sharp> {
  try {
    return ((await import(SHARP)) as { readonly default: Sharp }).default;
  } catch (error) {
    throw new KasminaError("unavailable", `Images need the optional package sharp: ${INSTALL}`, {
      cause: error,
    });
  }
}
