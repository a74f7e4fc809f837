import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Dataset, Rows } from "../contracts/dataset.js";
import { absoluteDataName, digestOfDataset } from "./digest.node.js";
import {
  datasetFromArrays,
  datasetFromText,
  OrderedBatches,
  openDataset,
  openTokenizer,
  ShuffledBatches,
} from "./index.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-text-"));
});
afterAll(() => rm(root, { recursive: true }));

function spell(dataset: Dataset, tokens: Rows["inputs"]): string {
  return Array.from(tokens, (token) => dataset.classNames?.[token] ?? "?").join("");
}

describe("a text", () => {
  const text = Array.from({ length: 400 }, (_, i) => "ab\nc —é"[(i * i + 3 * i) % 7]).join("");
  const dataset = datasetFromText(text, "text:x", { length: 6 });

  test("becomes sequences with the next character as label, in three parts of one piece each", () => {
    let from = 0;
    for (const [rows, size] of [
      [dataset.train, 360],
      [dataset.heldOut, 20],
      [dataset.test, 20],
    ] as const) {
      const whole = Math.floor((size - 1) / 6) * 6;
      expect(rows.count * 6).toBe(whole);
      expect(spell(dataset, rows.inputs)).toBe(text.slice(from, from + whole));
      expect(spell(dataset, rows.labels)).toBe(text.slice(from + 1, from + whole + 1));
      from += size;
    }
    expect([dataset.inputShape, dataset.train.labelShape, dataset.inputDType]).toEqual([[6], [6], "int32"]);
  });

  test("has the vocabulary of its training part; what that does not have is unknown", () => {
    const late = datasetFromText(`${"ab".repeat(180)}${"az".repeat(20)}`, "text:x", { length: 6 });
    expect(late.classNames).toEqual(["\ufffd", "a", "b"]);
    expect(late.classes).toBe(3);
    expect([...late.test.inputs.slice(0, 4)]).toEqual([1, 0, 1, 0]);
  });

  test("fills batches of whole numbers, each row with its labels", () => {
    const batches = new ShuffledBatches(dataset, { batch: 5, seed: 3 });
    fc.assert(
      fc.property(fc.nat(100), (step) => {
        const { inputs, labels } = batches.at(step);
        expect([inputs.dtype, inputs.shape, labels.shape]).toEqual(["int32", [5, 6], [5, 6]]);
        for (let row = 0; row < 5; row++) {
          const said = spell(dataset, inputs.data.slice(row * 6, row * 6 + 6) as Int32Array);
          const next = spell(dataset, labels.data.slice(row * 6, row * 6 + 6) as Int32Array);
          expect(text).toContain(said + next.slice(-1));
          expect(next.slice(0, -1)).toBe(said.slice(1));
        }
      }),
    );
  });

  test("is padded in evaluation", () => {
    const [batch] = new OrderedBatches(dataset.test, dataset.inputShape, 4).batches();
    expect(batch?.count).toBe(3);
    expect(Array.from(batch?.inputs.data.slice(18) ?? [])).toEqual(new Array(6).fill(0));
    expect(Array.from(batch?.labels.data.slice(18) ?? [])).toEqual(new Array(6).fill(0));
  });
});

describe("a text of tokens", () => {
  const text = "It was the best of times, it was the worst of times; 鯨. ".repeat(60);
  const tokens = datasetFromText(text, "text:x", { length: 6, vocabSize: 280 });

  test("has rows of them, one after the other, in the parts that its characters have", async () => {
    const tokenizer = await openTokenizer(tokens.tokenizer ?? "");
    expect([tokens.classes, tokens.classNames, tokens.inputDType]).toEqual([
      tokenizer.size,
      undefined,
      "int32",
    ]);
    const said = tokenizer.decode(tokens.train.inputs);
    expect(text.startsWith(said)).toBe(true);
    expect([...tokens.train.labels.slice(0, -1)]).toEqual([...tokens.train.inputs.slice(1)]);
    const characters = datasetFromText(text, "text:x", { length: 6 });
    for (const part of ["heldOut", "test"] as const) {
      const start = tokenizer.decode(tokens[part].inputs.slice(0, 6));
      expect(spell(characters, characters[part].inputs)).toContain(start.slice(0, 4));
    }
  });

  test("says how many bytes its labels stand for", async () => {
    const tokenizer = await openTokenizer(tokens.tokenizer ?? "");
    for (const { labels, textBytes = Number.NaN } of [tokens.train, tokens.heldOut, tokens.test]) {
      const bytes = new TextEncoder().encode(tokenizer.decode(labels)).length;
      expect(Math.abs(textBytes / bytes - 1)).toBeLessThan(0.1);
    }
  });

  test("takes a tokenizer as it is", async () => {
    const own = await openTokenizer(tokens.tokenizer ?? "");
    const again = datasetFromText(text, "text:x", { length: 6, tokenizer: own });
    expect(again).toEqual(tokens);
    expect(() => datasetFromText(text, "text:x", { tokenizer: own, vocabSize: 280 })).toThrow(
      "text:x: give a tokenizer, or the size of one to learn, not both",
    );
  });

  test("is read from a file with the tokenizer of another one, by a name that holds in any folder", async () => {
    const path = join(root, "novel.txt");
    await writeFile(path, text);
    await writeFile(join(root, "own.json"), tokens.tokenizer ?? "");
    const name = `text:${path}?length=6&tokenizer=${join(root, "own.json")}`;
    const dataset = await openDataset(name);
    expect([dataset.tokenizer, dataset.train]).toEqual([tokens.tokenizer, tokens.train]);
    expect(digestOfDataset(dataset)).toBe(digestOfDataset(tokens));
    expect(digestOfDataset({ ...dataset, tokenizer: "{}" })).not.toBe(digestOfDataset(tokens));
    expect(absoluteDataName("text:a.txt?tokenizer=b.json&length=6")).toBe(
      `text:${process.cwd()}/a.txt?tokenizer=${process.cwd()}/b.json&length=6`,
    );
  });
});

describe("text:<file>", () => {
  test("reads a file; line ends are made alike", async () => {
    const path = join(root, "a.txt");
    await writeFile(path, "one\r\ntwo\r".repeat(100));
    const dataset = await openDataset(`text:${path}?length=8`);
    expect(spell(dataset, dataset.train.inputs.slice(0, 8))).toBe("one\ntwo\n");
    expect(dataset.name).toBe(`text:${path}`);
  });

  test("the novel is there, from its first chapter on", async () => {
    const dataset = await openDataset("text:moby-dick");
    expect(spell(dataset, dataset.train.inputs.slice(0, 39))).toBe(
      "CHAPTER 1. Loomings.\n\nCall me Ishmael. ",
    );
    expect(dataset.train.count).toBeGreaterThan(15_000);
    expect(dataset.heldOut.count).toBe(511);
  });

  test.each([
    ["text:/nowhere/a.txt", "cannot read /nowhere/a.txt: there is no such file"],
    ["text:moby-dick?length=1", "data text: length=1 is out of range"],
    [
      "text:moby-dick?size=1",
      'unknown option "size" of data text: it takes length, encoding, tokenizer, vocab_size',
    ],
  ])("%s is refused", async (name, message) => {
    await expect(openDataset(name)).rejects.toThrow(message);
  });

  test("bytes that are no text, and a text that is too short, are refused by name", async () => {
    const path = join(root, "b.txt");
    await writeFile(path, Uint8Array.of(0xff, 0xfe, 0x41));
    await expect(openDataset(`text:${path}`)).rejects.toThrow(`${path}: the bytes are not utf-16le`);
    await writeFile(path, "too short");
    await expect(openDataset(`text:${path}`)).rejects.toThrow(
      `text:${path}: rows of 64 characters need a text of 1300 at least, got 9`,
    );
  });
});

describe("tokens of one's own", () => {
  const good = { inputs: Int32Array.of(0, 1, 1, 2, 2, 0), labels: [1, 1, 2, 2, 0, 0] };
  const format = { name: "mine", inputShape: [2], labelShape: [2], classes: 3, train: good, test: good };

  test("are held out row by row", () => {
    const rows = {
      inputs: Int32Array.from({ length: 60 }, (_, i) => i % 3),
      labels: new Int32Array(60).fill(1),
    };
    const dataset = datasetFromArrays({ ...format, train: rows });
    expect([dataset.train.count, dataset.heldOut.count]).toEqual([27, 3]);
    expect(dataset.train.labels.length).toBe(54);
  });

  test.each([
    [
      { inputs: Int32Array.of(0, 1, 1, 3, 2, 0) },
      "mine, test: token 3 of row 1 is outside the 3 classes 0..2",
    ],
    [{ labels: [0, 0, 0, 0, -1, 0] }, "mine, test: label -1 of row 2 is outside the 3 classes 0..2"],
    [{ labels: [0, 0, 0] }, "mine, test: 3 labels and rows of shape [2] need 3 inputs, got 6"],
  ])("%j is refused", (change, message) => {
    const bad = { ...format, heldOut: good, test: { ...good, ...change } };
    expect(() => datasetFromArrays(bad)).toThrow(message);
  });
});
