import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dataMetadata, dataRecordIn } from "./data-record.js";
import { openRunData } from "./open-run-data.node.js";

let root: string;
let path: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-record-"));
  path = join(root, "t.csv");
});
afterAll(() => rm(root, { recursive: true }));

const LINES = ["a,b,kind", ...Array.from({ length: 40 }, (_, i) => `${i},${i * i},${["ash", "elm"][i % 2]}`)];

async function open(
  lines: readonly string[] = LINES,
  recorded?: Awaited<ReturnType<typeof openRunData>>["record"],
) {
  await writeFile(path, lines.join("\n"));
  return openRunData(`csv:${relative(process.cwd(), path)}?label=kind`, recorded);
}

describe("what a run began with", () => {
  test("is found by an absolute name, and the same for the same data", async () => {
    const { record } = await open();
    expect(record.origin).toBe(`csv:${path}?label=kind`);
    expect((await open(LINES, record)).record).toEqual(record);
    expect((await openRunData(record.origin, record)).record).toEqual(record);
    // Spelled otherwise, read alike.
    expect(
      (
        await open(
          LINES.map((line) => line.replaceAll(",", " , ")),
          record,
        )
      ).record,
    ).toEqual(record);
  });

  const swapped = LINES.map((line) => line.replace(/^(\w+),(\w+)/, "$2,$1"));
  test.each<[string, readonly string[], RegExp]>([
    ["more rows", [...LINES, ...LINES.slice(1)], /rows were 40, are 80; digest was [0-9a-f]{12}, is/],
    [
      "one value edited",
      LINES.map((line) => line.replace("7,49", "7,50")),
      /as many rows with other values; digest/,
    ],
    [
      "one label edited",
      LINES.map((line) => line.replace("7,49,elm", "7,49,ash")),
      /as many rows with other values/,
    ],
    ["rows in another order", [LINES[0] ?? "", ...LINES.slice(1).reverse()], /other values/],
    ["columns swapped", swapped, /columns were a, b, are b, a/],
    ["a column renamed", LINES.map((line) => line.replace("a,b,", "a,c,")), /columns were a, b, are a, c/],
    [
      "another column",
      LINES.map((line, i) => `${i === 0 ? "z" : i},${line}`),
      /inputs were \[2\], are \[3\]; columns were/,
    ],
    [
      "another class",
      LINES.map((line) => line.replace("7,49,elm", "7,49,oak").replace("9,81,elm", "9,81,oak")),
      /classes were 2, are 3; class names were ash, elm, are ash, elm, oak/,
    ],
    [
      "a class renamed",
      LINES.map((line) => line.replace("elm", "oak")),
      /class names were ash, elm, are ash, oak/,
    ],
  ])("%s is refused by name", async (_, lines, message) => {
    const { record } = await open();
    await expect(open(lines, record)).rejects.toThrow(message);
    await expect(open(lines, record)).rejects.toMatchObject({ code: "invalid_data" });
  });

  test("other options of the same file are other data", async () => {
    const { record } = await open();
    await expect(openRunData(`${record.origin}&test=0.4`, record)).rejects.toThrow(/digest was/);
  });

  test("what is generated, and a text's vocabulary, are identified too", async () => {
    const { record } = await openRunData("spirals");
    expect([record.origin, record.input_shape]).toEqual(["spirals", [2]]);
    expect((await openRunData("spirals", record)).record).toEqual(record);
    const text = join(root, "t.txt");
    await writeFile(text, "abc ".repeat(500));
    const letters = (await openRunData(`text:${text}`)).record;
    expect(letters.class_names).toEqual(["\ufffd", " ", "a", "b", "c"]);
    await writeFile(text, "abd ".repeat(500));
    await expect(openRunData(`text:${text}`, letters)).rejects.toThrow(/class names were/);
  });
});

test("scaling and names go out as texts, quotes and all", async () => {
  const { record } = await open([`"say ""a""",b,kind`, ...LINES.slice(1)]);
  const metadata = dataMetadata(record, undefined);
  expect(JSON.parse(metadata.class_names ?? "")).toEqual(["ash", "elm"]);
  expect(JSON.parse(metadata.columns ?? "")).toEqual(record.columns);
  expect(record.columns?.[0]?.name).toBe('say "a"');
  expect(metadata).toMatchObject({ data_sha256: record.sha256, input_scale: "1" });
});

test("run.json of the time before says nothing; one that does not fit is refused", () => {
  expect(dataRecordIn({ run_id: "r", config: {} })).toBeUndefined();
  expect(() => dataRecordIn({ data: { origin: "x", sha256: "nonsense" } })).toThrow(
    "run.json: data.sha256 does not fit",
  );
});
