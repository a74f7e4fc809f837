/** JSON Lines and Parquet are the same tables as CSV, and every row that is none is named. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type ColumnSource, parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDataset } from "./open.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-records-"));
});
afterAll(() => rm(root, { recursive: true }));

const ROWS = Array.from({ length: 60 }, (_, i) => ({
  size: i / 4,
  count: i % 5 === 0 ? null : i,
  city: ["Oslo", "Rome", "Å"][i % 3] as string,
  fresh: i % 4 < 2,
  kind: i % 2 ? "odd" : "even",
}));
const QUERY = "?label=kind&fill=mean";

async function file(name: string, bytes: string | Uint8Array): Promise<string> {
  const path = join(root, name);
  await writeFile(path, bytes);
  return path;
}

const jsonLines = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");

function parquet(rows: readonly Readonly<Record<string, unknown>>[]): Uint8Array {
  const columnData = Object.keys(rows[0] ?? {}).map((name) => ({
    name,
    data: rows.map((row) => row[name]),
  })) as ColumnSource[];
  return new Uint8Array(parquetWriteBuffer({ columnData }));
}

const csv = () =>
  [
    "size,count,city,fresh,kind",
    ...ROWS.map((row) =>
      Object.values(row)
        .map((value) => value ?? "")
        .join(","),
    ),
  ].join("\n");

describe("the same rows are the same data", () => {
  test.each<[string, () => Promise<string>]>([
    ["jsonl", async () => `jsonl:${await file("rows.jsonl", jsonLines(ROWS))}`],
    [
      "jsonl with empty lines and \\r",
      async () => `jsonl:${await file("crlf.jsonl", jsonLines(ROWS).replaceAll("\n", "\r\n\n"))}`,
    ],
    ["jsonl packed by gzip", async () => `jsonl:${await file("rows.gz", gzipSync(jsonLines(ROWS)))}`],
    ["parquet", async () => `parquet:${await file("rows.parquet", parquet(ROWS))}`],
  ])("%s", async (_, make) => {
    const { name: __, ...expected } = await openDataset(`csv:${await file("rows.csv", csv())}${QUERY}`);
    const { name, ...dataset } = await openDataset(`${await make()}${QUERY}`);
    expect(dataset).toEqual(expected);
    expect(dataset.columns?.map((column) => column.name)).toEqual(["size", "count", "city", "fresh"]);
  });
});

describe("what is no table is one clear line", () => {
  test.each<[string, string, string]>([
    ["a line that is no JSON", '{"x":1,"label":"a"}\n{"x":2,\n', "line 2 is not JSON"],
    ["a line that is a list", '{"x":1,"label":"a"}\n[1,2]\n', "line 2 is no object"],
    ["a number for a line", "3\n", "line 1 is no object"],
    ["nothing", "", "has no rows"],
    [
      "a column that comes later",
      '{"x":1,"label":"a"}\n{"x":1,"y":2,"label":"b"}\n',
      "row 2 has the columns x, y, label; those of row 1 are x, label",
    ],
    ["a column that goes", '{"x":1,"label":"a"}\n{"label":"b"}\n', "row 2 has the columns label"],
    ["a list in a cell", '{"x":[1],"label":"a"}\n', 'row 1, column "x" holds a list'],
    ["an object in a cell", '{"x":{"y":1},"label":"a"}\n', 'row 1, column "x" holds an object'],
    ["a column twice but for space", '{"x":1,"x ":2,"label":"a"}\n', 'two columns are called "x"'],
    ["a key twice", '{"x":1,"x":2,"label":"a"}\n', "line 1 is not JSON"],
    [
      "null for a number",
      '{"x":null,"label":"a"}\n{"x":2,"label":"b"}\n',
      'row 1, column "x": empty; ?fill=mean',
    ],
    [
      "a text among numbers",
      '{"x":1,"label":"a"}\n{"x":"two","label":"b"}\n',
      'row 2, column "x": "two" is not a number',
    ],
    ["no label", '{"x":1,"y":"a"}\n', "the columns are x, y"],
  ])("%s", async (_, text, message) => {
    await expect(openDataset(`jsonl:${await file("bad.jsonl", text)}`)).rejects.toThrow(message);
  });

  test.each<[string, () => Uint8Array, string]>([
    ["another format", () => Buffer.from("a,b\n1,2\n"), "is no Parquet file that can be read"],
    ["a Parquet file cut short", () => parquet(ROWS).subarray(0, 300), "is no Parquet file that can be read"],
    ["nothing", () => new Uint8Array(), "is no Parquet file that can be read"],
    [
      "a nested column",
      () =>
        parquet([
          { x: [1, 2], label: "a" },
          { x: [3], label: "b" },
        ]),
      'row 1, column "x" holds a list',
    ],
  ])("of Parquet: %s", async (_, bytes, message) => {
    await expect(openDataset(`parquet:${await file("bad.parquet", bytes())}?label=label`)).rejects.toThrow(
      message,
    );
  });

  test("a file that is not there, an option of another reader", async () => {
    await expect(openDataset("parquet:nowhere.parquet")).rejects.toThrow("cannot read nowhere.parquet");
    await expect(openDataset("jsonl:x?delimiter=;")).rejects.toThrow(
      'unknown option "delimiter" of data jsonl',
    );
  });
});
