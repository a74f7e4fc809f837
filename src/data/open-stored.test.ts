/** Tables that stream: the same dataset as in memory, to the last bit, and the same refusals. */
import { appendFileSync } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TextDecoding } from "./decode.js";
import { digestOfDataset } from "./digest.node.js";
import { openDataset } from "./open.js";
import { openStored } from "./open-stored.node.js";
import { streamText } from "./read-stream.node.js";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-open-stored-"));
});
afterAll(() => rm(root, { recursive: true }));

async function file(name: string, bytes: string | Uint8Array): Promise<string> {
  await writeFile(join(root, name), bytes);
  return join(root, name);
}

/** Of a table however small, as a run with a folder opens it. */
async function storedDigest(name: string): Promise<string> {
  const stored = await openStored(name, root);
  if (!stored) throw new Error(`${name} was not streamed`);
  try {
    return digestOfDataset(stored.dataset);
  } finally {
    await stored.close();
  }
}

const COLUMNS = ["size", "city", "team", "day", "price", "kind"];
const ROWS = Array.from({ length: 200 }, (_, i) => [
  i % 9 === 4 ? "" : String(Math.sqrt(i) * 1e3),
  ["Oslo", "Malmö, S", 'the "Hague"'][i % 3] ?? "",
  `team ${i % 8}`,
  `2024-0${1 + (i % 9)}-11`,
  String((i * 37) % 101),
  i % 4 === 0 ? "odd" : "even",
]);
const quoted = (cell: string): string => (/[",;]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
const csvText = (delimiter = ",", rows = ROWS): string =>
  [COLUMNS, ...rows].map((row) => `${row.map(quoted).join(delimiter)}\r\n`).join("");
const jsonText = (rows = ROWS): string =>
  rows
    .map((row) => `${JSON.stringify(Object.fromEntries(COLUMNS.map((name, i) => [name, row[i] || null])))}\n`)
    .join("");

const QUERIES = [
  "label=kind&drop=day",
  "label=kind&group=team&drop=day&test=0.3",
  "target=price&time=day",
  "label=kind&weight=price&drop=day",
  "target=price,size&drop=day&fill=error",
];

describe.each(QUERIES)("a stored table with %s", (query) => {
  // The one with targets that may not be missing has none that are.
  const rows = query.includes("fill=error") ? ROWS.filter(([size]) => size !== "") : ROWS;
  const how = query.includes("fill") ? query : `${query}&fill=mean`;

  test.each([
    ["csv", "plain", () => csvText(",", rows)],
    ["csv", "with semicolons", () => csvText(";", rows)],
    ["csv", "with a byte order mark", () => `\ufeff${csvText(",", rows)}`],
    ["csv", "in UTF-16", () => Buffer.from(`\ufeff${csvText(",", rows)}`, "utf16le")],
    ["csv", "packed", () => gzipSync(csvText(",", rows))],
    ["jsonl", "plain", () => jsonText(rows)],
    ["jsonl", "packed", () => gzipSync(jsonText(rows))],
  ])("is the one in memory: %s, %s", async (kind, what, bytes) => {
    const name = `${kind}:${await file(`${kind} ${what}`, bytes())}?${how}`;
    expect(await storedDigest(`${name}&memory=0`)).toBe(digestOfDataset(await openDataset(name)));
  });
});

test("a test file streams too, whatever the order of its columns", async () => {
  const train = await file("train.csv", csvText());
  const swapped = [COLUMNS, ...ROWS.slice(0, 50)].map((row) => [...row].reverse().map(quoted).join(","));
  const tested = await file("test.csv", swapped.join("\n"));
  const name = `csv:${train}?label=kind&drop=day&fill=mean&test_file=${tested}`;
  expect(await storedDigest(`${name}&memory=0`)).toBe(digestOfDataset(await openDataset(name)));
});

test("what is no larger than asked for, and what is no table, is read into memory", async () => {
  const bytes = csvText();
  const small = await file("small.csv", bytes);
  const megabytes = Buffer.byteLength(bytes) / 1e6;
  expect(await openStored(`csv:${small}?label=kind`, root)).toBeUndefined();
  expect(await openStored(`csv:${small}?memory=${megabytes}`, root)).toBeUndefined();
  expect(
    await storedDigest(`csv:${small}?label=kind&drop=day&fill=mean&memory=${megabytes * 0.99}`),
  ).toHaveLength(64);
  expect(await openStored("spirals", root)).toBeUndefined();
  await expect(openDataset(`csv:${small}?memory=-1`)).rejects.toThrow("memory=-1 is out of range");
});

test("what is refused in memory is refused in the same words, and leaves nothing", async () => {
  const broken: readonly [string, string, string][] = [
    ["csv", "a,label\n1,x\n2,y,z\n", ""],
    ["csv", "a,label\n1,x\n2\n", ""],
    ["csv", 'a,label\n1,"x\n', ""],
    ["csv", "\n \n", ""],
    ["csv", "a,label\n", ""],
    ["csv", "a,a,label\n1,2,x\n", ""],
    ["csv", "a,label\n1,x\none,y\n", ""],
    ["csv", "a,label\n1,x\n,y\n", ""],
    ["csv", "a,label\n1,x\n2,x\n", ""],
    ["csv", "a,label\n1,x\n2,\n", ""],
    ["csv", "a,kind\n1,x\n2,y\n", ""],
    ["csv", `a,label\n${Array.from({ length: 150 }, (_, i) => `t${i},${i % 2}\n`).join("")}`, ""],
    [
      "csv",
      `a,label\n${Array.from({ length: 150 }, (_, i) => `2024-01-${10 + (i % 20)},${i % 2}\n`).join("")}`,
      "",
    ],
    ["csv", "a,label\n1,5\n2,5\n", "&target=label"],
    ["jsonl", '{"a":1,"label":"x"}\n{"a":2}\n', ""],
    ["jsonl", '{"a":1,"label":"x"}\n[1]\n', ""],
    ["jsonl", '{"a":1,"label":"x"}\n{"a":1,"a":2}\n', ""],
    ["jsonl", "\n\n", ""],
  ];
  const before = await readdir(root);
  for (const [kind, text, more] of broken) {
    const path = await file("broken", text);
    const message = await openDataset(`${kind}:${path}?memory=0${more}`).then(
      () => "opened",
      (error: unknown) => String(error),
    );
    expect(message).toMatch(/^KasminaError/);
    await expect(openStored(`${kind}:${path}?memory=0${more}`, root).catch(String)).resolves.toBe(message);
  }
  expect((await readdir(root)).filter((name) => name !== "broken")).toEqual(before);
});

test("a file that changes while it is read is refused, saying how", async () => {
  const path = await file("growing.csv", csvText(",", ROWS).repeat(200));
  const read = async (): Promise<void> => {
    let pieces = 0;
    for await (const _ of streamText(path, "csv")) if (++pieces === 1) appendFileSync(path, "1,2\n");
  };
  await expect(read()).rejects.toThrow(
    /growing\.csv changed while it was read: it had \d+ bytes and has \d+/,
  );
});

test("a packed file that breaks off is refused", async () => {
  const whole = gzipSync(csvText());
  const path = await file("torn.csv.gz", whole.subarray(0, whole.length - 20));
  await expect(openStored(`csv:${path}?label=kind&fill=mean&memory=0`, root)).rejects.toThrow(
    /torn\.csv\.gz is not a complete gzip file/,
  );
});

test("a text is decoded the same in whatever pieces it comes, and a bad byte is named by its place", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom("a", "é", "€", "😀", "\n"), minLength: 1, maxLength: 60 }),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }),
      fc.boolean(),
      (text, sizes, isBad) => {
        // Longer than what is looked at before anything is decoded.
        const lead = `${"x".repeat(4_100)}\n`;
        const bytes = Buffer.concat([Buffer.from(lead + text), ...(isBad ? [Buffer.of(0xff, 0x0a)] : [])]);
        const decode = (): string => {
          const decoding = new TextDecoding("t");
          let decoded = decoding.decode(bytes.subarray(0, lead.length));
          for (let at = lead.length, i = 0; at < bytes.length; i++) {
            const size = sizes[i % sizes.length] ?? 1;
            decoded += decoding.decode(bytes.subarray(at, at + size));
            at += size;
          }
          return decoded + decoding.end();
        };
        const lines = text.split("\n");
        const place = `line ${lines.length + 1}, column ${(lines.at(-1)?.length ?? 0) + 1}: byte 0xff`;
        if (isBad) expect(decode).toThrow(place);
        else expect(decode()).toBe(lead + text);
      },
    ),
  );
});
