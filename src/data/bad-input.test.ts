/**
 * What readers refuse: one clear line each, that names the file, and row and column where there are any; nothing is written. The cases
 * of tables are the same for each kind of them, in its own bytes. Those of images stand in `images.test.ts`.
 */
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type ColumnSource, parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { KasminaError } from "../base/errors.js";
import { openDataset } from "./open.js";
import { type Preprocessing, readUnseen } from "./unseen.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-bad-"));
});
afterAll(() => rm(root, { recursive: true }));

type Files = Readonly<Record<string, string | Uint8Array>>;

/** @param read is given a name of data with the folder for `$` */
async function expectRefused(
  files: Files,
  name: string,
  message: RegExp,
  read: (name: string) => Promise<unknown> = openDataset,
): Promise<void> {
  const folder = await mkdtemp(join(root, "f-"));
  for (const [file, bytes] of Object.entries(files)) await writeFile(join(folder, file), bytes);
  const error: unknown = await read(name.replaceAll("$", folder)).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(KasminaError);
  expect((error as KasminaError).code).toMatch(/^invalid_(data|argument)$/);
  expect((error as KasminaError).message).toMatch(message);
  expect((error as KasminaError).message).not.toContain("\n");
  expect((await readdir(folder)).sort()).toEqual(Object.keys(files).sort());
}

type Cell = string | number | null | undefined;
type Rows = readonly Readonly<Record<string, Cell>>[];

/** Forty good rows, but for some. */
function rows(changes: Readonly<Record<number, Readonly<Record<string, Cell>>>> = {}): Rows {
  return Array.from({ length: 40 }, (_, i) => ({
    ...{ x: i / 4, city: ["Oslo", "Rome"][(i >> 1) % 2] ?? "", label: i % 2 ? "odd" : "even" },
    ...changes[i + 1],
  }));
}

/** The rows with a cell of each made anew. */
function remade(column: string, cell: (i: number) => Cell): Rows {
  return rows().map((row, i) => ({ ...row, [column]: cell(i) }));
}

/** A Parquet column has one type: one of numbers and texts becomes one of texts. */
function parquet(table: Rows): Uint8Array {
  const columnData = Object.keys(table[0] ?? {}).map((name) => {
    const cells = table.map((row) => row[name] ?? null);
    const isMixed = cells.some((cell) => typeof cell === "string");
    return { name, data: cells.map((cell) => (isMixed && cell !== null ? String(cell) : cell)) };
  });
  return new Uint8Array(parquetWriteBuffer({ columnData: columnData as ColumnSource[] }));
}

const KINDS: Readonly<Record<string, (table: Rows) => string | Uint8Array>> = {
  csv: (table) =>
    [Object.keys(table[0] ?? {}), ...table.map((row) => Object.values(row).map((cell) => cell ?? ""))]
      .map((cells) => `${cells.join(",")}\n`)
      .join(""),
  jsonl: (table) => table.map((row) => `${JSON.stringify(row)}\n`).join(""),
  parquet,
};

const LEARNED: Preprocessing = {
  inputShape: [3],
  task: "classification",
  classes: 2,
  classNames: ["even", "odd"],
  columns: [
    { name: "x", mean: 0, deviation: 1 },
    { name: "city", categories: ["Oslo", "Rome"] },
  ],
};

describe.each(Object.entries(KINDS))("%s", (kind, write) => {
  const TABLES: readonly (readonly [what: string, table: Rows, options: string, message: RegExp])[] = [
    [
      "no column of the label",
      rows().map(({ x, city }) => ({ x, city })),
      "",
      /add \?label=<column>; the columns are x, city/,
    ],
    ["no column of a target", rows(), "?target=price", /no column "price"/],
    ["a text among numbers", rows({ 7: { x: "red" } }), "", /row 7, column "x": "red" is not a number/],
    [
      "a number that is not finite",
      rows({ 7: { x: "1e999" } }),
      "",
      /row 7, column "x": "1e999" is not a number/,
    ],
    ["a number among texts", rows({ 9: { city: 5 } }), "", /column "city": ".+" is not a number/],
    ["a missing value", rows({ 3: { x: null } }), "", /row 3, column "x": empty; \?fill=mean fills/],
    [
      "a cell that says that it is missing",
      rows({ 3: { city: "NA" } }),
      "",
      /row 3, column "city": "NA" says that the value is missing/,
    ],
    ["a missing label", rows({ 2: { label: null } }), "", /row 2, column "label": no label/],
    ["a missing target", rows({ 4: { x: null } }), "?target=x", /row 4, column "x": no target/],
    [
      "a target that is no number",
      rows(),
      "?target=city",
      /row 1, column "city": "Oslo" is no number, which a target must be/,
    ],
    [
      "a target that is constant",
      remade("x", () => 5),
      "?target=x",
      /target "x" is 5 in every row: there is nothing to predict/,
    ],
    [
      "one class only",
      remade("label", () => "same"),
      "",
      /the label "label" is same in every row: there is nothing to predict/,
    ],
    [
      "a class of its own in every row",
      remade("label", (i) => `id-${i}`),
      "",
      /the label "label" is another one in each of the 40 rows/,
    ],
    ["a label that is neither 0 nor 1", rows(), "?labels=x", /row 2, column "x": "0\.25" is neither 0 nor 1/],
    ["no column beside the label", rows().map(({ label }) => ({ label })), "", /no column beside the label/],
    [
      "dates",
      remade("city", (i) => `2024-03-${10 + (i % 20)}`),
      "",
      /column "city" holds dates: .*\?drop=city/,
    ],
    [
      "too many categories",
      Array.from({ length: 400 }, (_, i) => ({ x: i, city: `town ${i}`, label: i % 2 })),
      "",
      /column "city" has more than 100 different texts/,
    ],
    [
      "a column without a name",
      rows().map(({ x, label }) => ({ x, "": 1, label })),
      "",
      /column 2 has no name/,
    ],
    ["a column to drop that is not there", rows(), "?drop=town", /no column "town" to drop/],
    [
      "no column of the weights",
      rows(),
      "?weight=w",
      /there is no column "w"; the columns are x, city, label/,
    ],
    [
      "a weight below 0",
      rows({ 6: { x: -1 } }),
      "?weight=x",
      /row 6, column "x": "-1" is no weight, a number of 0 or more/,
    ],
    [
      "a weight that is a text",
      rows({ 6: { x: "red" } }),
      "?weight=x",
      /row 6, column "x": "red" is no weight/,
    ],
    [
      "a weight that is not finite",
      rows({ 6: { x: "1e999" } }),
      "?weight=x",
      /row 6, column "x": "1e999" is no weight/,
    ],
    ["a weight that is missing", rows({ 6: { x: null } }), "?weight=x", /row 6, column "x": no weight/],
    ["weights that are all 0", remade("x", () => 0), "?weight=x", /, train: the weights of all rows are 0/],
    ["a label and a target", rows(), "?label=label&target=x", /give one of label, labels and target/],
    ["a part for the test that is none", rows(), "?test=2", /test=2 is out of range/],
    ["an option that nobody knows", rows(), "?colour=red", /unknown option "colour" of data/],
    ["a task that nobody knows", rows(), "?task=guess", /task must be one of/],
  ];
  test.each(TABLES)("%s", (_, table, options, message) =>
    expectRefused({ rows: write(table) }, `${kind}:$/rows${options}`, message));

  test("a file that is not there", () =>
    expectRefused({}, `${kind}:$/rows`, /cannot read .*rows: there is no such file/));

  test("a schema that changes from one file to the next", () =>
    expectRefused(
      { rows: write(rows()), more: write(rows().map(({ x, label }) => ({ x, label }))) },
      `${kind}:$/rows?test_file=$/more`,
      /its test_file has no column "city"/,
    ));

  test.each<readonly [string, Rows, RegExp, boolean]>([
    [
      "a category that was unknown",
      rows({ 5: { city: "Kyiv" } }),
      /row 5, column "city": "Kyiv" is none of the categories Oslo, Rome/,
      false,
    ],
    ["a column that is missing", rows().map(({ x }) => ({ x })), /column "city" is missing; it has x/, false],
    [
      "a text where numbers were",
      rows({ 6: { x: "red" } }),
      /row 6, column "x": "red" is not a number/,
      false,
    ],
    [
      "a label that was unknown",
      rows({ 8: { label: "neither" } }),
      /row 8, column "label": "neither" is none of the classes even, odd/,
      true,
    ],
    [
      "no label to compare with",
      rows().map(({ x, city }) => ({ x, city })),
      /there is no column "label" to compare with/,
      true,
    ],
  ])("at prediction, %s", (_, table, message, needsLabels) =>
    expectRefused({ rows: write(table) }, `${kind}:$/rows`, message, (name) =>
      readUnseen(name, LEARNED, needsLabels),
    ));
});

type Bytes = readonly [what: string, name: string, bytes: string | Uint8Array, message: RegExp];
const GOOD = { csv: KINDS.csv?.(rows()) ?? "", jsonl: KINDS.jsonl?.(rows()) ?? "" };
const PARQUET = parquet(rows());

test.each<Bytes>([
  ["an empty file", "csv:$/rows", "", /rows is empty/],
  ["a header alone", "csv:$/rows", "x,label\n", /has a header but no rows/],
  ["a row with a cell too many", "csv:$/rows", "x,label\n1,a\n2,b,3\n", /Invalid Record Length/],
  ["a quote that stays open", "csv:$/rows", 'x,label\n1,"a\n2,b\n', /Quote Not Closed/i],
  ["two columns of one name", "csv:$/rows", "x,x,label\n1,2,a\n", /two columns are called "x"/],
  [
    "a gzip file cut short",
    "csv:$/rows",
    gzipSync(GOOD.csv).subarray(0, 60),
    /rows is not a complete gzip file/,
  ],
  [
    "another encoding",
    "csv:$/rows",
    Buffer.from("x,label\n1,caf\xe9\n", "latin1"),
    /row 1, column "label": byte 0xe9 is not UTF-8/,
  ],
  ["an encoding that nobody knows", "csv:$/rows?encoding=klingon", GOOD.csv, /unknown encoding "klingon"/],
  ["an empty file", "jsonl:$/rows", "", /rows has no rows/],
  ["a line that is no JSON", "jsonl:$/rows", '{"x":1,"label":"a"}\n{"x":2,\n', /line 2 is not JSON/],
  ["a line that is a list", "jsonl:$/rows", '{"x":1,"label":"a"}\n[1,2]\n', /line 2 is no object/],
  [
    "columns that change",
    "jsonl:$/rows",
    '{"x":1,"label":"a"}\n{"y":1,"label":"b"}\n',
    /row 2 has the columns y, label; those of row 1 are x, label/,
  ],
  ["an object in a cell", "jsonl:$/rows", '{"x":{"y":1},"label":"a"}\n', /row 1, column "x" holds an object/],
  [
    "a gzip file cut short",
    "jsonl:$/rows",
    gzipSync(GOOD.jsonl).subarray(0, 60),
    /rows is not a complete gzip file/,
  ],
  [
    "another encoding",
    "jsonl:$/rows",
    Buffer.from('{"x":1,"label":"caf\xe9"}\n', "latin1"),
    /line 1, column \d+: byte 0xe9 is not UTF-8/,
  ],
  ["an empty file", "parquet:$/rows", "", /is no Parquet file that can be read/],
  ["another format", "parquet:$/rows", GOOD.csv, /is no Parquet file that can be read/],
  [
    "a file cut short",
    "parquet:$/rows",
    PARQUET.subarray(0, PARQUET.length >> 1),
    /is no Parquet file that can be read/,
  ],
  [
    "a file without its beginning",
    "parquet:$/rows",
    PARQUET.subarray(PARQUET.length >> 1),
    /is no Parquet file that can be read/,
  ],
  [
    "a gzip file cut short",
    "parquet:$/rows",
    gzipSync(PARQUET).subarray(0, 60),
    /rows is not a complete gzip file/,
  ],
  [
    "a nested column",
    "parquet:$/rows",
    new Uint8Array(
      parquetWriteBuffer({
        columnData: [
          { name: "x", data: [[1], [2]] },
          { name: "label", data: ["a", "b"] },
        ] as ColumnSource[],
      }),
    ),
    /row 1, column "x" holds a list/,
  ],
])("%s: %s", (_, name, bytes, message) => expectRefused({ rows: bytes }, name, message));

const LETTERS: Preprocessing = {
  inputShape: [4],
  task: "next-token",
  classes: 3,
  classNames: ["\ufffd", "a", "b"],
};

test.each<Bytes>([
  ["an empty text", "text:$/rows", "", /rows of 64 characters need a text of 1300 at least, got 0/],
  ["a short text", "text:$/rows", "too short", /need a text of 1300 at least, got 9/],
  [
    "a text that is short for its rows",
    "text:$/rows?length=4096",
    "a".repeat(9_000),
    /need a text of \d+ at least, got 9000/,
  ],
  [
    "another encoding",
    "text:$/rows",
    Buffer.from(`${"a".repeat(70)}\ncaf\xe9`, "latin1"),
    /rows: line 2, column 4: byte 0xe9 is not UTF-8/,
  ],
  [
    "UTF-16 without its mark",
    "text:$/rows",
    Buffer.from("a text of letters", "utf16le"),
    /the bytes look like UTF-16/,
  ],
  ["UTF-16 cut short", "text:$/rows", Uint8Array.of(0xff, 0xfe, 0x41), /the bytes are not utf-16le/],
  [
    "the mark of another encoding",
    "text:$/rows?encoding=latin1",
    "\ufeffabc",
    /begins with the mark of utf-8, not of/,
  ],
  ["an encoding that nobody knows", "text:$/rows?encoding=klingon", "abc", /unknown encoding "klingon"/],
  [
    "a gzip file cut short",
    "text:$/rows",
    gzipSync("a".repeat(9_000)).subarray(0, 15),
    /rows is not a complete gzip file/,
  ],
  ["a file that is not there", "text:$/nowhere", "", /cannot read .*nowhere: there is no such file/],
  ["a folder", "text:$", "", /cannot read /],
  ["no path", "text:", "", /unknown data "text:"/],
  ["rows of one character", "text:$/rows?length=1", "abc", /length=1 is out of range/],
  ["rows of half a character", "text:$/rows?length=2.5", "abc", /length=2\.5 is out of range/],
  ["rows without a length", "text:$/rows?length=", "abc", /length= is out of range/],
  ["an option of tables", "text:$/rows?label=x", "abc", /unknown option "label" of data text/],
  [
    "a vocabulary of fewer than the bytes",
    "text:$/rows?vocab_size=255",
    "abc",
    /vocab_size=255 is out of range/,
  ],
  [
    "a vocabulary of half a token",
    "text:$/rows?vocab_size=300.5",
    "abc",
    /vocab_size=300\.5 is out of range/,
  ],
  [
    "a vocabulary that is too large",
    "text:$/rows?vocab_size=65537",
    "abc",
    /vocab_size=65537 is out of range/,
  ],
  [
    "a text too short for tokens",
    "text:$/rows?vocab_size=300",
    "abc",
    /rows of 64 tokens need a text of 1300 at least, got 3/,
  ],
  [
    "a text that has too few tokens",
    "text:$/rows?vocab_size=300",
    "abab ".repeat(300),
    /a row takes 65 tokens, the part heldOut has \d+: take a longer text or a smaller length/,
  ],
  [
    "a tokenizer that is not there",
    "text:$/rows?tokenizer=$/none.json",
    "abc",
    /cannot read .*none\.json: there is no such file/,
  ],
  ["a tokenizer that is no JSON", "text:$/rows?tokenizer=$/rows", "abc", /rows is not JSON/],
  [
    "a tokenizer that is another JSON",
    "text:$/rows?tokenizer=$/rows",
    "[1]",
    /rows is no tokenizer that can be read/,
  ],
])("of a text, %s", (_, name, bytes, message) => expectRefused({ rows: bytes }, name, message));

test("of a text at prediction, one that is shorter than a row", () =>
  expectRefused({ rows: "abba" }, "text:$/rows", /a row takes 5 characters, the text has 4/, (name) =>
    readUnseen(name, LETTERS, false),
  ));

function idx(shape: readonly number[], values: readonly number[], type = 8): Buffer {
  const sizes = Buffer.alloc(4 * shape.length);
  shape.forEach((size, i) => {
    sizes.writeUInt32BE(size, 4 * i);
  });
  return Buffer.concat([Buffer.from([0, 0, type, shape.length]), sizes, Buffer.from(values)]);
}

const labels = Array.from({ length: 20 }, (_, i) => i % 2);
const IMAGES = "train-images-idx3-ubyte";
const LABELS = "train-labels-idx1-ubyte";
const TEST_IMAGES = "t10k-images-idx3-ubyte";
const TEST_LABELS = "t10k-labels-idx1-ubyte";
const IDX: Files = {
  [IMAGES]: idx(
    [20, 1, 2],
    Array.from({ length: 40 }, (_, i) => i),
  ),
  [LABELS]: idx([20], labels),
  [TEST_IMAGES]: idx([2, 1, 2], [1, 2, 3, 4]),
  [TEST_LABELS]: idx([2], [0, 1]),
};

test.each<readonly [string, Files, string, RegExp]>([
  [
    "labels cut short",
    { [LABELS]: idx([20], [0, 1]) },
    "",
    /train-labels-idx1-ubyte is truncated: shape \[20\] needs 28 bytes, the file has 10/,
  ],
  ["images cut short", { [IMAGES]: idx([20, 1, 2], [1]) }, "", /train-images-idx3-ubyte is truncated/],
  [
    "a header cut short",
    { [IMAGES]: Buffer.from([0, 0, 8, 3, 0]) },
    "",
    /train-images-idx3-ubyte is truncated: 5 bytes, no whole header/,
  ],
  ["an empty file", { [TEST_LABELS]: "" }, "", /t10k-labels-idx1-ubyte is truncated: 0 bytes/],
  ["bytes after the end", { [TEST_LABELS]: idx([2], [0, 1, 1]) }, "", /t10k-labels-idx1-ubyte is too long/],
  [
    "another format",
    { [IMAGES]: "hello world." },
    "",
    /train-images-idx3-ubyte is not an IDX file: it begins with 68656c6c/,
  ],
  [
    "another element type",
    { [IMAGES]: idx([20, 1, 2], [], 13) },
    "",
    /has element type 13, only unsigned bytes/,
  ],
  [
    "five dimensions",
    { [IMAGES]: idx([1, 1, 1, 1, 1], [1]) },
    "",
    /train-images-idx3-ubyte is not an IDX file/,
  ],
  [
    "images of one dimension",
    { [IMAGES]: idx([20], labels) },
    "",
    /train-images-idx3-ubyte has 1 dimensions, images need 2 to 4/,
  ],
  ["labels of two dimensions", { [LABELS]: idx([20, 1], labels) }, "", /has 2 dimensions, labels need 1/],
  ["counts that differ", { [LABELS]: idx([19], labels.slice(1)) }, "", /has 20 images but .* has 19 labels/],
  ["no rows", { [TEST_IMAGES]: idx([0, 1, 2], []), [TEST_LABELS]: idx([0], []) }, "", /test: no rows/],
  [
    "images of two sizes",
    { [TEST_IMAGES]: idx([2, 2, 1], [1, 2, 3, 4]) },
    "",
    /t10k-images-idx3-ubyte has images of \[2,1,1\], .* of \[1,2,1\]/,
  ],
  [
    "a label beyond the classes",
    { [TEST_LABELS]: idx([2], [0, 9]) },
    "",
    /test: label 9 of row 1 is outside the 2 classes/,
  ],
  [
    "labels with a gap",
    { [LABELS]: idx([20], [7, ...labels.slice(1)]) },
    "",
    /label 7 of row 0 is outside the 3 classes 0\.\.2 \(labels with gaps: add \?classes=N\)/,
  ],
  [
    "one class only",
    {
      [LABELS]: idx(
        [20],
        labels.map(() => 0),
      ),
    },
    "",
    /needs at least 2 classes, got 1/,
  ],
  ["fewer classes than labels", {}, "?classes=1", /classes=1 is out of range/],
  [
    "a gzip file cut short",
    { [IMAGES]: gzipSync(Buffer.alloc(500, "abc")).subarray(0, 15) },
    "",
    /train-images-idx3-ubyte is not a complete gzip file/,
  ],
  ["an option of images", {}, "?size=8", /unknown option "size" of data idx/],
])("of IDX files, %s", (_, change, options, message) =>
  expectRefused({ ...IDX, ...change }, `idx:$${options}`, message));

test("of IDX files, one that is missing", () => {
  const { [TEST_LABELS]: _, ...others } = IDX;
  return expectRefused(others, "idx:$", /missing file .*t10k-labels-idx1-ubyte/);
});
