/** Tables as people have them: other encodings, other delimiters, other spellings, and what is refused. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { datasetFromCsv, openDataset } from "./index.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-csv-"));
});
afterAll(() => rm(root, { recursive: true }));

async function file(content: string | Uint8Array, name = "table.csv"): Promise<string> {
  const path = join(await mkdtemp(join(root, "t-")), name);
  await writeFile(path, content);
  return path;
}

/** 40 rows of `x` and a label out of `labels`. */
function table(labels: readonly string[], header = "x,label", delimiter = ","): string {
  const rows = Array.from({ length: 40 }, (_, i) => `${i}${delimiter}${labels[i % labels.length]}`);
  return [header, ...rows].join("\n");
}

function utf16(text: string, bigEndian: boolean, mark = true): Buffer {
  const bytes = Buffer.from(`${mark ? "\ufeff" : ""}${text}`, "utf16le");
  return bigEndian ? bytes.swap16() : bytes;
}

describe("the encoding of a table", () => {
  const accents = table(["Kraków", "Łódź"]);

  test.each<[string, string | Buffer, string]>([
    ["utf-8", accents, ""],
    ["utf-8 with its mark", `\ufeff${accents}`, ""],
    ["utf-8 with its mark, asked for", `\ufeff${accents}`, "?encoding=utf8"],
    ["utf-16le by its mark", utf16(accents, false), ""],
    ["utf-16be by its mark", utf16(accents, true), ""],
    ["utf-16be, asked for", utf16(accents, true, false), "?encoding=utf-16be"],
    [
      "windows-1250",
      Buffer.from(accents.replaceAll("ó", "\xf3").replaceAll("Ł", "\xa3").replaceAll("ź", "\x9f"), "latin1"),
      "?encoding=windows-1250",
    ],
    ["gzip", gzipSync(accents), ""],
    ["gzip of utf-16", gzipSync(utf16(accents, false)), ""],
  ])("%s is read", async (_, content, query) => {
    const data = await openDataset(`csv:${await file(content)}${query}`);
    expect(data.classNames).toEqual(["Kraków", "Łódź"]);
    expect(data.columns?.map(({ name }) => name)).toEqual(["x"]);
  });

  test("latin1 reads what is latin1", async () => {
    const bytes = Buffer.from(table(["café", "cafè"]), "latin1");
    const data = await openDataset(`csv:${await file(bytes)}?encoding=latin1`);
    expect(data.classNames).toEqual(["cafè", "café"]);
  });

  test.each<[string, Buffer, string, string]>([
    [
      "a byte of a cell",
      Buffer.from(`${table(["a", "b"])}\n7,caf\xe9`, "latin1"),
      "",
      'row 41, column "label": byte 0xe9 is not UTF-8 (add ?encoding=latin1',
    ],
    [
      "the first byte of a row",
      Buffer.from(`x,label\n1,a\n\xe9,b`, "latin1"),
      "",
      'row 2, column "x": byte 0xe9',
    ],
    ["a byte of the header", Buffer.from("caf\xe9,label\n1,a", "latin1"), "", "header, column 1: byte 0xe9"],
    [
      "a byte inside of quotes",
      Buffer.from(`x,label\n1,"a\n\xe9"`, "latin1"),
      "",
      "line 3, column 1: byte 0xe9",
    ],
    [
      "a byte behind a U+FFFD that is meant",
      Buffer.concat([Buffer.from("x,label\n1,\ufffd\n2,"), Buffer.from([0xff])]),
      "",
      'row 2, column "label": byte 0xff',
    ],
    [
      "a last character that is cut",
      Buffer.from("x,label\n1,é").subarray(0, -1),
      "",
      'row 1, column "label": byte 0xc3',
    ],
    [
      "utf-16 without a mark",
      utf16(table(["a", "b"]), false, false),
      "",
      "look like UTF-16: add ?encoding=utf-16le",
    ],
    [
      "half of a character in utf-16",
      utf16(table(["a", "b"]), false).subarray(0, -1),
      "",
      "the bytes are not utf-16le",
    ],
    [
      "a mark of another encoding",
      Buffer.from(`\ufeff${table(["a", "b"])}`),
      "?encoding=latin1",
      "begins with the mark of utf-8, not of windows-1252",
    ],
    [
      "an unknown encoding",
      Buffer.from(table(["a", "b"])),
      "?encoding=klingon",
      'unknown encoding "klingon"',
    ],
    ["half of a gzip file", gzipSync(table(["a", "b"])).subarray(0, 60), "", "is not a complete gzip file"],
  ])("%s is refused and named", async (_, content, query, message) => {
    await expect(openDataset(`csv:${await file(content)}${query}`)).rejects.toThrow(message);
  });
});

describe("labels that are equal", () => {
  test.each<[string, readonly string[], readonly string[]]>([
    ["numbers of several spellings", ["0", "0.0", "1", "1.0", "1e0", "+1", "-0"], ["0", "1"]],
    ["numbers of one spelling each, which stays", ["01", "02"], ["01", "02"]],
    ["numbers sort by value", ["10", "9", "-1.5"], ["-1.5", "9", "10"]],
    ["numbers beside a text", ["0", "0.0", "x"], ["0", "0.0", "x"]],
    [
      "ids too long for a float64",
      ["9007199254740992", "9007199254740993"],
      ["9007199254740992", "9007199254740993"],
    ],
    ["hexadecimal numbers are texts", ["0x10", "16"], ["0x10", "16"]],
    ["one letter in two ways", ["caf\u00e9", "cafe\u0301", "tea"], ["café", "tea"]],
    ["space around", ["a", " a ", "b\u00a0"], ["a", "b"]],
  ])("%s", (_, labels, classes) => {
    expect(datasetFromCsv(table(labels), "csv:t").classNames).toEqual(classes);
  });

  test("however numbers are spelled, there are as many classes as numbers", () => {
    const spell = [
      String,
      (n: number) => n.toFixed(2),
      (n: number) => n.toExponential(3),
      (n: number) => `0${n}`,
    ];
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.nat(3)), { minLength: 40, maxLength: 60 }),
        (cells) => {
          const values = new Set(cells.map(([value]) => value));
          fc.pre(values.size > 1);
          const labels = cells.map(([value, i]) => spell[i]?.(value) ?? "");
          const text = ["x,label", ...labels.map((label, i) => `${i},${label}`)].join("\n");
          const { classNames = [] } = datasetFromCsv(text, "csv:t", { testFraction: 0.5 });
          expect(classNames.map(Number)).toEqual([...values].sort((a, b) => a - b));
        },
      ),
    );
  });

  test.each(["NA", "nan", "NaN", "null", "None", "?", "", "#N/A"])("%j is a missing label", (label) => {
    expect(() => datasetFromCsv(table(["a", label]), "csv:t")).toThrow(
      'csv:t: row 2, column "label": no label',
    );
  });

  test("what says missing can be named", async () => {
    const path = await file(table(["None", "-9", "a"]));
    await expect(openDataset(`csv:${path}?missing=-9,x`)).rejects.toThrow(
      'row 2, column "label": no label ("-9" says so',
    );
    expect((await openDataset(`csv:${path}?missing=`)).classNames).toEqual(["-9", "None", "a"]);
  });
});

describe("numbers far from zero", () => {
  const scaled = (values: readonly (number | string)[]): number[] => {
    const rows = values.map((value, i) => `${value},${i % 2}`);
    return [...datasetFromCsv(["x,label", ...rows].join("\n"), "csv:t").train.inputs];
  };
  const steps = Array.from({ length: 60 }, (_, i) => i);

  test.each([
    ["milliseconds", 1_760_000_000_000],
    ["seconds", 1_760_000_000],
    ["large negative numbers", -4e12],
  ])("%s are scaled as if they began at zero", (_, offset) => {
    const near = scaled(steps);
    const far = scaled(steps.map((step) => step + offset));
    expect(new Set(far).size).toBe(new Set(near).size);
    far.forEach((value, i) => {
      expect(value).toBeCloseTo(near[i] ?? 0, 3);
    });
  });

  test.each([
    ["constant", steps.map(() => 7)],
    ["constant but for rounding", steps.map((i) => (i % 3 ? 0.3 : 0.1 + 0.2))],
    ["constant and large but for rounding", steps.map((i) => (i % 3 ? 1e300 : 1.0000000000000002e300))],
  ])("a column that is %s becomes 0", (_, values) => {
    expect(new Set(scaled(values))).toEqual(new Set([0]));
  });

  test("a small column that does vary stays", () => {
    expect(new Set(scaled(steps.map((i) => (i % 2) * 1e-30))).size).toBe(2);
  });

  test.each<[string, readonly (number | string)[], string]>([
    [
      "too large to add up",
      steps.map((i) => (i % 2 ? 1.7e308 : -1.7e308)),
      'the values of column "x" are too large to scale',
    ],
    ["not finite", steps.map((i) => (i === 4 ? "1e999" : i)), 'row 5, column "x": "1e999" is not a number'],
    [
      "infinite by name",
      steps.map((i) => (i === 4 ? "Infinity" : i)),
      'row 5, column "x": "Infinity" is not a number',
    ],
    [
      "missing",
      steps.map((i) => (i === 4 ? "NA" : i)),
      'row 5, column "x": "NA" says that the value is missing',
    ],
  ])("one that is %s is refused by row and column", (_, values, message) => {
    expect(() => scaled(values)).toThrow(message);
  });
});

describe("columns", () => {
  const rows = (header: string, row: (i: number) => string): string =>
    [header, ...Array.from({ length: 40 }, (_, i) => row(i))].join("\n");

  test.each<[string, string, string]>([
    ["twice", "y,y,x", 'two columns are called "y"'],
    ["twice but for space", '" y",y ,x', 'two columns are called "y"'],
    [
      "without a name, first",
      ",y,x",
      "column 1 has no name; a row index? Leave it out (pandas: index=False), or give it one",
    ],
    ["without a name, last", "y,x,", "column 3 has no name: give it one"],
    ["of space", "y, ,x", "column 2 has no name"],
  ])("%s are refused", (_, header, message) => {
    expect(() =>
      datasetFromCsv(
        rows(header, (i) => `${i % 2},${i},${i}`),
        "csv:t",
        { label: "y" },
      ),
    ).toThrow(message);
  });

  test.each([
    "a+b",
    "R&D",
    "100%",
    "what?",
    "a=b",
    "r=1&d",
    "größe",
    "50%25".replace("%25", "%2"),
  ])("the label may be called %s", async (label) => {
    const path = await file(
      rows(`x,${label}`, (i) => `${i},${i % 2}`),
      "what?.csv",
    );
    expect((await openDataset(`csv:${path}?label=${label}&test=0.3`)).test.count).toBe(12);
  });

  test("an escaped ampersand before a word and an equals sign is no option", async () => {
    const path = await file(
      rows("x,p&q=r", (i) => `${i},${i % 2}`),
      "a?b=c.csv",
    );
    expect((await openDataset(`csv:${path}?label=p%26q=r`)).classes).toBe(2);
    await expect(openDataset(`csv:${path}?label=p&q=r`)).rejects.toThrow('unknown option "q" of data csv');
  });

  test.each<[string, string, string]>([
    [";", "x;y;label", ""],
    ["\t", "x\ty\tlabel", ""],
    ["|", "x|y|label", ""],
    [";", "x;y;label", "?delimiter=semicolon"],
    ["\t", "x\ty\tlabel", "?delimiter=tab"],
    [":", "x:y:label", "?delimiter=:"],
  ])("may stand between %j", async (delimiter, header, query) => {
    const path = await file(rows(header, (i) => [i, i * 2, i % 2].join(delimiter)));
    const data = await openDataset(`csv:${path}${query}`);
    expect(data.columns?.map(({ name }) => name)).toEqual(["x", "y"]);
  });

  test("a comma in quotes divides nothing, and decimal commas are read where they are asked for", async () => {
    const path = await file(rows('"x, y; z";label', (i) => `"${i},5";${i % 2}`));
    await expect(openDataset(`csv:${path}`)).rejects.toThrow(
      '"0,5" is not a number (a decimal comma? Add ?decimal=,)',
    );
    const { columns } = await openDataset(`csv:${path}?decimal=,`);
    expect(columns).toEqual([
      { name: "x, y; z", mean: expect.closeTo(20, -1), deviation: expect.any(Number) },
    ]);
  });

  test("a wide table's columns are not all listed", () => {
    const names = Array.from({ length: 5_000 }, (_, i) => `column_${i}`);
    const text = `${names.join(",")}\n${names.map(() => "1").join(",")}`;
    expect(() => datasetFromCsv(text, "csv:t", { label: "y" })).toThrow(
      /there is no column "y"; the columns are column_0, .* and 4990 more$/,
    );
  });
});

test("what a plain object has by itself is no data", async () => {
  for (const name of ["constructor", "__proto__", "toString:x"])
    await expect(openDataset(name)).rejects.toThrow(`unknown data "${name}"`);
});

describe("a column of texts", () => {
  const table = (cells: readonly (readonly unknown[])[]): string =>
    ["city,size,label", ...cells.map((row) => row.join(","))].join("\n");
  const rows = Array.from({ length: 40 }, (_, i) => [["Oslo", "Rome", "Å"][i % 3], i, i % 2]);

  test("becomes one input a category, in sorted order, and a combining accent makes no other one", () => {
    const twoWays = rows.map(([city, ...rest], i) => [city === "Å" && i % 2 ? "A\u030a" : city, ...rest]);
    const { inputShape, columns, train } = datasetFromCsv(table(twoWays), "t");
    expect(inputShape).toEqual([4]);
    expect(columns?.[0]).toEqual({ name: "city", categories: ["Oslo", "Rome", "Å"] });
    for (let row = 0; row < train.count; row++) {
      const inputs = [...train.inputs.subarray(4 * row, 4 * row + 3)];
      expect(inputs.toSorted()).toEqual([0, 0, 1]);
    }
  });

  test("with one number among the texts is refused; so is one with too many texts, and one of dates", () => {
    const with5 = rows.map((row, i) => (i === 5 ? [5, ...row.slice(1)] : row));
    expect(() => datasetFromCsv(table(with5), "t")).toThrow(
      't: row 1, column "city": "Oslo" is not a number',
    );
    const ids = Array.from({ length: 120 }, (_, i) => [`id-${i}`, i, i % 2]);
    expect(() => datasetFromCsv(table(ids), "t")).toThrow(
      /"city" has more than 100 different texts.*\?drop=city/,
    );
    for (const date of ["2024-03-01", "1/2/2024", "2024-03-01T10:00:00Z"]) {
      const dated = rows.map(([, ...rest]) => [date, ...rest]);
      expect(() => datasetFromCsv(table(dated), "t")).toThrow(/"city" holds dates: give it as numbers/);
    }
  });

  test("can be left out, as any column", () => {
    const { inputShape } = datasetFromCsv(table(rows), "t", { drop: ["city"] });
    expect(inputShape).toEqual([1]);
    expect(() => datasetFromCsv(table(rows), "t", { drop: ["town"] })).toThrow('no column "town" to drop');
    expect(() => datasetFromCsv(table(rows), "t", { drop: ["city", "size"] })).toThrow(
      "no column beside the label",
    );
  });
});

describe("a value that is missing", () => {
  const table = (gap: (i: number) => boolean): string =>
    [
      "city,size,label",
      ...Array.from({ length: 40 }, (_, i) =>
        [gap(i) ? "" : ["a", "b"][i % 2], gap(i) ? "NA" : i, i % 2].join(","),
      ),
    ].join("\n");

  test("is refused, with what would fill it", () => {
    expect(() =>
      datasetFromCsv(
        table((i) => i === 7),
        "t",
      ),
    ).toThrow('t: row 8, column "city": empty; ?fill=mean fills such gaps');
  });

  test("becomes the mean of a number, and no category of a text, where that is asked for", () => {
    const {
      train,
      heldOut,
      test: tested,
      columns,
    } = datasetFromCsv(
      table((i) => i % 4 === 0),
      "t",
      { fill: "mean" },
    );
    expect(columns).toEqual([
      { name: "city", categories: ["a", "b"], fill: true },
      { name: "size", mean: expect.any(Number), deviation: expect.any(Number), fill: true },
    ]);
    const all = [train, heldOut, tested].flatMap(({ inputs, count }) =>
      Array.from({ length: count }, (_, row) => [...inputs.subarray(3 * row, 3 * row + 3)]),
    );
    expect(all.filter((row) => row.every((value) => value === 0))).toHaveLength(10);
    const known = Array.from(train.inputs).filter((_, i) => i % 3 === 2 && train.inputs[i] !== 0);
    expect(known.reduce((sum, value) => sum + value, 0)).toBeCloseTo(0, 4);
  });

  test("in every training row of a column is refused", () => {
    expect(() =>
      datasetFromCsv(
        table(() => true),
        "t",
        { fill: "mean" },
      ),
    ).toThrow(/"city" has no value/);
  });
});
