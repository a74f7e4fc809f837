/** A run that learns from tokens: its tokenizer is a part of the model, wherever that goes. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sha256Hex } from "../src/base/index.js";
import { learnTokenizer, openDataset } from "../src/data/index.js";
import { grow } from "../src/weatherlight/run/grow.js";
import type { GrowOptions } from "../src/weatherlight/run/grow-options.js";
import { readGrownNetwork } from "../src/weatherlight/run/read-network.node.js";
import { evaluateOn } from "../src/weatherlight/run/use-network.node.js";
import { kasmina } from "./kasmina.js";

const SONG = "Row, row, row your boat, gently down the stream – merrily, merrily: life's a dream.\n";
let root: string;
let folder: string;
let data: string;
let options: GrowOptions;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-tokens-"));
  folder = join(root, "run");
  data = `text:${join(root, "song.txt")}?length=8&vocab_size=290`;
  await writeFile(join(root, "song.txt"), SONG.repeat(60));
  options = {
    ...{ data, host: "charlm:width=16,blocks=1,heads=2", engine: "wasm" },
    ...{ epochs: 4, lr: 0.01, growth: false },
  };
  await grow({ ...options, runDir: folder });
}, 120_000);
afterAll(() => rm(root, { recursive: true }));

async function gone(prompt: string, from = folder): Promise<string> {
  const network = await readGrownNetwork(from);
  let text = "";
  for await (const piece of network.generate(prompt, { length: 30, temperature: 0 })) text += piece;
  return text;
}

describe("the tokenizer that a run learned", () => {
  test("is learned from the training part alone, and is in its folder as others read it", async () => {
    const json = await readFile(join(folder, "tokenizer.json"), "utf8");
    const text = SONG.repeat(60);
    const heldOut = Math.floor([...text].length * 0.05);
    const trained = [...text].slice(0, [...text].length - 2 * heldOut).join("");
    expect(json).toBe(learnTokenizer(trained, { vocabSize: 290 }).json);
    const about = JSON.parse(await readFile(join(folder, "run.json"), "utf8")) as { data: object };
    expect(about.data).toMatchObject({
      classes: 290,
      tokenizer_sha256: sha256Hex(new TextEncoder().encode(json)),
    });
    expect(about.data).not.toHaveProperty("class_names");
    const { ids } = new Tokenizer(JSON.parse(json), {}).encode(SONG);
    const { train } = await openDataset(data);
    expect([...train.inputs.slice(0, ids.length)]).toEqual(ids);
  });

  test("goes on with a prompt, and knows every character", async () => {
    expect(await gone("Row, row, ")).toMatch(/^(row )?your boat, gently down/);
    expect(typeof (await gone("🐋"))).toBe("string");
    await expect(gone("")).rejects.toThrow("the prompt is empty");
  });

  test("is in an export, which says the same of a text as the run", async () => {
    const model = join(root, "grown.onnx");
    await (await readGrownNetwork(folder)).toOnnx(model);
    const other = join(root, "other.txt");
    await writeFile(other, "Gently, merrily, row; 漁夫の夢.\n".repeat(12));
    const [ofRun, ofModel] = await Promise.all(
      [folder, model].map((path) => evaluateOn(path, `text:${other}`)),
    );
    expect(ofModel?.rows).toBe(ofRun?.rows);
    expect(ofModel?.loss).toBeCloseTo(ofRun?.loss ?? Number.NaN, 4);
    expect(ofModel?.metrics).toHaveProperty("bits_per_byte");
  });

  test("that is another one in the folder by now is refused", async () => {
    const path = join(folder, "tokenizer.json");
    const json = await readFile(path, "utf8");
    await writeFile(path, json.replace("0.0", "0.1").replace("}", "} "));
    await expect(gone("Row")).rejects.toThrow(`${path} is not the tokenizer that the run began with`);
    await rm(path);
    await expect(gone("Row")).rejects.toThrow(`${path} is missing`);
    await writeFile(path, json);
  });
});

test("bits per byte compare tokens with characters: a perplexity of tokens is another figure", async () => {
  const ofTokens = await evaluateOn(folder, data);
  const { rows, metrics, isOwnTestPart } = ofTokens;
  const { test: own } = await openDataset(data);
  expect([rows, isOwnTestPart]).toEqual([own.count, true]);
  expect(metrics).toMatchObject({
    perplexity: expect.closeTo(Math.exp(ofTokens.loss), 6),
    bits_per_byte: expect.closeTo(
      (ofTokens.loss * own.labels.length) / Math.LN2 / (own.textBytes ?? Number.NaN),
      6,
    ),
  });
  // The part is the same, and so are its bytes but for the last row, whatever its tokens are.
  const { test: characters } = await openDataset(data.replace("&vocab_size=290", ""));
  const bytes = new TextEncoder().encode(SONG.repeat(60)).length * 0.05;
  for (const part of [own, characters]) expect(Math.abs((part.textBytes ?? 0) - bytes)).toBeLessThan(60);
});

test("a run that was stopped and resumed, and its replay, see the same tokens", async () => {
  const cut = join(root, "cut");
  const stop = new AbortController();
  await grow({ ...options, runDir: cut, signal: stop.signal, onEpoch: () => stop.abort() });
  const resumed = await kasmina(["grow", "--resume", cut, "--json"], root);
  expect(resumed.code, resumed.stderr).toBe(0);
  expect(JSON.parse(resumed.stdout.trim().split("\n").at(-1) ?? "")).toMatchObject({
    metrics: { bits_per_byte: expect.any(Number) },
  });
  const [one, other] = await Promise.all([folder, cut].map((path) => readGrownNetwork(path)));
  expect(other?.parameters).toEqual(one?.parameters);
  expect((await kasmina(["replay", cut], root)).stdout).toContain("the same to the last bit");
});

test("the command line goes on with a prompt and evaluates as the API does", async () => {
  const { stdout } = await kasmina(
    ["generate", folder, "--prompt", "Row, row, ", "--length", "30", "--temperature", "0"],
    root,
  );
  expect(stdout).toBe(`Row, row, ${await gone("Row, row, ")}\n`);
  const evaluation = await kasmina(["evaluate", folder, "--data", data, "--json"], root);
  const { metrics } = await evaluateOn(folder, data);
  expect(JSON.parse(evaluation.stdout)).toMatchObject({ metrics });
});

test("another text, or another tokenizer, is refused by who goes on", async () => {
  const cut = join(root, "changed");
  const path = join(root, "changing.txt");
  await writeFile(path, SONG.repeat(60));
  const stop = new AbortController();
  await grow({
    ...options,
    ...{ data: `text:${path}?length=8&vocab_size=290`, runDir: cut },
    ...{ signal: stop.signal, onEpoch: () => stop.abort() },
  });
  await writeFile(path, SONG.replaceAll("boat", "ship").repeat(60));
  await expect(grow({ resume: cut })).rejects.toThrow(/tokenizer's digest were \w+, are \w+/);
  const next = {
    from: folder,
    data: `text:${path}?length=8&vocab_size=290`,
    growth: false,
    epochs: 1,
  } as const;
  await expect(grow({ ...next, engine: "wasm" })).rejects.toThrow(/its text is of other tokens/);
  const own = `text:${path}?length=8&tokenizer=${join(folder, "tokenizer.json")}`;
  expect(await grow({ ...next, engine: "wasm", data: own })).toMatchObject({ ended: "finished" });
});
