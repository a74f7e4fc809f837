import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { KasminaError } from "../base/errors.js";
import { openDataset } from "./index.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-data-"));
});
afterAll(() => rm(root, { recursive: true }));

function idx(shape: readonly number[], values: readonly number[]): Buffer {
  const sizes = Buffer.alloc(4 * shape.length);
  shape.forEach((size, i) => {
    sizes.writeUInt32BE(size, 4 * i);
  });
  return Buffer.concat([Buffer.from([0, 0, 8, shape.length]), sizes, Buffer.from(values)]);
}

/** Twenty 1×2 images of two classes for training, two for testing. */
function goodFiles(): Record<string, Buffer> {
  const labels = Array.from({ length: 20 }, (_, i) => i % 2);
  return {
    "train-images-idx3-ubyte": idx(
      [20, 1, 2],
      labels.flatMap((label, i) => [i, 255 * label]),
    ),
    "train-labels-idx1-ubyte": idx([20], labels),
    "t10k-images-idx3-ubyte": idx([2, 1, 2], [1, 2, 3, 4]),
    "t10k-labels-idx1-ubyte": idx([2], [0, 1]),
  };
}

async function folder(files: Record<string, Buffer>): Promise<string> {
  const dir = await mkdtemp(join(root, "idx-"));
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(dir, name), bytes);
  return dir;
}

async function failure(name: string): Promise<KasminaError> {
  const error: unknown = await openDataset(name).catch((caught: unknown) => caught);
  if (!(error instanceof KasminaError)) throw new Error(`${name} did not fail with a KasminaError`);
  expect(error.message).not.toContain("\n");
  return error;
}

describe("mnist", () => {
  test("is the full 60,000 and 10,000, of ten classes", async () => {
    const { train, heldOut, test: last, inputShape, classes } = await openDataset("mnist");
    expect([train.count, heldOut.count, last.count]).toEqual([55_000, 5_000, 10_000]);
    expect([inputShape, classes]).toEqual([[28, 28, 1], 10]);
    // Facts of the published files: the share of each digit in the test set, and its first labels.
    const share = Array.from(
      { length: 10 },
      (_, digit) => last.labels.filter((label) => label === digit).length,
    );
    expect(share).toEqual([980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    expect(Array.from(last.labels.subarray(0, 5))).toEqual([7, 2, 1, 0, 4]);
  });
});

describe("idx folders", () => {
  test("are read plain and gzipped alike", async () => {
    const plain = await openDataset(`idx:${await folder(goodFiles())}`);
    const packed = Object.entries(goodFiles()).map(([name, bytes]) => [`${name}.gz`, gzipSync(bytes)]);
    const unpacked = await openDataset(`idx:${await folder(Object.fromEntries(packed))}`);
    expect({ ...unpacked, name: plain.name }).toEqual(plain);
    expect([plain.inputShape, plain.classes, plain.train.count, plain.heldOut.count]).toEqual([
      [1, 2, 1],
      2,
      18,
      2,
    ]);
  });

  test.each<[string, Record<string, Buffer | undefined>, string]>([
    ["a missing file", { "t10k-labels-idx1-ubyte": undefined }, "missing file .*t10k-labels-idx1-ubyte"],
    [
      "a truncated file",
      { "train-images-idx3-ubyte": idx([20, 1, 2], [1, 2, 3]) },
      "train-images-idx3-ubyte is truncated: shape \\[20,1,2\\] needs 56 bytes, the file has 19",
    ],
    ["an empty file", { "train-labels-idx1-ubyte": Buffer.alloc(0) }, "train-labels-idx1-ubyte is truncated"],
    [
      "bytes after the end",
      { "t10k-labels-idx1-ubyte": idx([2], [0, 1, 1]) },
      "t10k-labels-idx1-ubyte is too long: .* needs 10 bytes, the file has 11",
    ],
    [
      "another format",
      { "train-images-idx3-ubyte": Buffer.from("hello world.") },
      "is not an IDX file: .*68656c6c",
    ],
    [
      "another element type",
      { "train-labels-idx1-ubyte": Buffer.from([0, 0, 13, 1, 0, 0, 0, 1, 0, 0, 0, 0]) },
      "train-labels-idx1-ubyte has element type 13",
    ],
    [
      "a stray label",
      { "t10k-labels-idx1-ubyte": idx([2], [0, 9]) },
      "test: label 9 of row 1 is outside the 2 classes",
    ],
    [
      "a gap in the labels",
      { "train-labels-idx1-ubyte": idx([20], [200, ...new Array(19).fill(0)]) },
      "label 200 of row 0 is outside the 2 classes 0..1",
    ],
    ["counts that differ", { "t10k-labels-idx1-ubyte": idx([1], [0]) }, "has 2 images but .* has 1 labels"],
    [
      "shapes that differ",
      { "t10k-images-idx3-ubyte": idx([2, 2, 1], [1, 2, 3, 4]) },
      "images of \\[2,1,1\\]",
    ],
    [
      "labels with dimensions",
      { "t10k-labels-idx1-ubyte": idx([1, 2], [0, 1]) },
      "has 2 dimensions, labels need 1",
    ],
  ])("%s is one clear line", async (_, change, message) => {
    const files = Object.entries({ ...goodFiles(), ...change }).filter(
      (entry): entry is [string, Buffer] => entry[1] !== undefined,
    );
    const error = await failure(`idx:${await folder(Object.fromEntries(files))}`);
    expect(error.code).toBe("invalid_data");
    expect(error.message).toMatch(new RegExp(message));
  });

  test("may have a dot in their names, and be packed without saying so", async () => {
    const renamed = Object.entries(goodFiles()).map(([name, bytes], i) => [
      name.replace(/-(idx\d)/, ".$1"),
      i % 2 ? gzipSync(bytes) : bytes,
    ]);
    const data = await openDataset(`idx:${await folder(Object.fromEntries(renamed))}`);
    expect([data.train.count, data.test.count]).toEqual([18, 2]);
  });

  test("a small file that unpacks to a large one ends where its header says", async () => {
    const { "t10k-labels-idx1-ubyte": labels = Buffer.alloc(0), ...rest } = goodFiles();
    const bomb = gzipSync(Buffer.concat([labels, Buffer.alloc(50_000_000)]));
    const before = process.memoryUsage().arrayBuffers;
    const error = await failure(`idx:${await folder({ ...rest, "t10k-labels-idx1-ubyte": bomb })}`);
    expect(error.message).toMatch(/t10k-labels-idx1-ubyte is too long: shape \[2\] needs 10 bytes/);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(5_000_000);
  });

  test("a truncated gzip file is named", async () => {
    const { "train-images-idx3-ubyte": images, ...rest } = goodFiles();
    const packed = gzipSync(images ?? Buffer.alloc(0)).subarray(0, 15);
    const error = await failure(`idx:${await folder({ ...rest, "train-images-idx3-ubyte.gz": packed })}`);
    expect(error.message).toMatch(/train-images-idx3-ubyte.gz is not a complete gzip file/);
  });
});

describe("csv files", () => {
  async function csv(text: string): Promise<string> {
    const path = join(await mkdtemp(join(root, "csv-")), "table.csv");
    await writeFile(path, text);
    return path;
  }

  const flowers = [
    "width,kind,height",
    ...Array.from({ length: 60 }, (_, i) => `${i},${["rose", "lily", "aster"][i % 3]},5`),
  ];

  test("labels are mapped in sorted order, features standardised by the training rows", async () => {
    const data = await openDataset(`csv:${await csv(flowers.join("\n"))}?label=kind`);
    expect(data.classNames).toEqual(["aster", "lily", "rose"]);
    expect([data.inputShape, data.train.count, data.heldOut.count, data.test.count]).toEqual([
      [2],
      43,
      5,
      12,
    ]);
    const width = Array.from(data.train.inputs).filter((_, i) => i % 2 === 0);
    const mean = width.reduce((sum, value) => sum + value, 0) / width.length;
    const variance = width.reduce((sum, value) => sum + (value - mean) ** 2, 0) / width.length;
    expect(mean).toBeCloseTo(0, 5);
    expect(variance).toBeCloseTo(1, 5);
    expect(Array.from(data.test.inputs).filter((_, i) => i % 2 === 1)).toEqual(new Array(12).fill(0));
  });

  test("numeric labels sort by value", async () => {
    const rows = Array.from({ length: 40 }, (_, i) => `${i},${[10, 9, 2, -1][i % 4]}`);
    const data = await openDataset(`csv:${await csv(["x,label", ...rows].join("\n"))}`);
    expect(data.classNames).toEqual(["-1", "2", "9", "10"]);
  });

  test.each([
    ["", "", "is empty"],
    ["x,label\n", "", "has a header but no rows"],
    ["x,y\n1,2\n", "", "add ?label=<column>; the columns are x, y"],
    ["x,label\n1,2\n", "?label=kind", 'there is no column "kind"; the columns are x, label'],
    ["x,label\n1,a\nred,b\n", "", 'row 2, column "x": "red" is not a number'],
    ["x,label\n1,a\n,b\n", "", 'row 2, column "x": empty'],
    ["x,label\n1,a\n2,\n", "", 'row 2, column "label": no label'],
    ["x,label\n1,a\n2,a\n", "", 'the label "label" is a in every row'],
    ["x,label\n1,a,7\n", "", "Invalid Record Length"],
    ["label\na\n", "", "has no column beside the label"],
    ["x,label\n1,a\n2,b\n", "?test=2", "data csv: test=2 is out of range"],
    ["x,label\n1,a\n2,b\n", "", "test: no rows"],
  ])("%j%s is one clear line", async (text, query, message) => {
    expect((await failure(`csv:${await csv(text)}${query}`)).message).toContain(message);
  });

  test("a missing file is named", async () => {
    expect((await failure("csv:/nowhere/table.csv")).message).toContain("cannot read /nowhere/table.csv");
  });
});

test.each([
  "",
  "mnst",
  "idx:",
  "csv",
  "spirals:5",
  "mnist:x",
])("the unknown name %j is refused with the known ones", async (name) => {
  const error = await failure(name);
  expect(error.code).toBe("invalid_argument");
  expect(error.message).toContain(
    "use one of mnist, idx:<dir>, csv:<file>?label=<column>, jsonl:<file>, parquet:<file>, images:<folder>, text:<file>, spirals",
  );
});

test("an unknown option of a data name is refused", async () => {
  expect((await failure("spirals?turns=3")).message).toBe(
    'unknown option "turns" of data spirals: it takes none',
  );
});
