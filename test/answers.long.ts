/** From raw files to answers by the command line, and the same answers of the exported file in a program that knows nothing of Kasmina. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type ColumnSource, parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Random } from "../src/base/index.js";
import { kasmina } from "./kasmina.js";

const PROGRAM = new URL("answers.mjs", import.meta.url).pathname;
const ROWS = 400;

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-answers-"));
});
afterAll(() => rm(root, { recursive: true }));

interface Row {
  readonly age: number | null;
  readonly town: string | null;
  readonly income: number;
  readonly buys: string;
}

/** Numbers of different sizes, a category that not every row has, gaps; what is to be said follows from them. */
const random = new Random(11);
const rows: readonly Row[] = Array.from({ length: ROWS }, (_, i) => {
  const age = 20 + Math.floor(60 * random.uniform());
  const town = ["Köln", "Lyon", "Graz, Süd"][random.below(3)] ?? "";
  const income = 1e4 * (1 + 9 * random.uniform());
  const score = (town === "Lyon" ? 30_000 : 0) + income - 500 * age;
  return {
    age: i % 11 === 5 ? null : age,
    town: i % 13 === 7 ? null : town,
    income,
    buys: score > 25_000 ? "yes" : "no",
  };
});

function csv(of: readonly Partial<Row>[]): string {
  const [first = {}] = of;
  const lines = of.map((row) =>
    Object.values(row).map((cell) => (typeof cell === "string" ? `"${cell}"` : (cell ?? ""))),
  );
  return `${[Object.keys(first), ...lines].map((cells) => cells.join(";")).join("\n")}\n`;
}

function jsonl(of: readonly Partial<Row>[]): string {
  return of.map((row) => `${JSON.stringify(row)}\n`).join("");
}

function parquet(of: readonly Partial<Row>[]): Uint8Array {
  const names = Object.keys(of[0] ?? {}) as (keyof Row)[];
  const columnData = names.map((name) => {
    const type = name === "age" || name === "income" ? "DOUBLE" : "STRING";
    return { name, type, data: of.map((row) => row[name] ?? null), nullable: true };
  });
  return new Uint8Array(parquetWriteBuffer({ columnData: columnData as ColumnSource[] }));
}

async function succeed(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await kasmina([...args], root);
  expect(code, stderr).toBe(0);
  return stdout;
}

async function answers(...args: string[]): Promise<unknown> {
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, ...args], { cwd: root });
  return JSON.parse(stdout);
}

test.each([
  ["csv", csv],
  ["jsonl", jsonl],
  ["parquet", parquet],
] as const)("%s: a run and its exported file say the same of raw rows", async (kind, write) => {
  const [training, asked] = [rows.slice(0, 300), rows.slice(300).map(({ buys: _, ...row }) => row)];
  await writeFile(join(root, `rows.${kind}`), write(training));
  await writeFile(join(root, `new.${kind}`), write(asked));
  await writeFile(join(root, "new.json"), JSON.stringify(asked));
  const how = ["--epochs", "30", "--engine", "native", "--quiet", "--run-dir", `run-${kind}`];
  await succeed(["grow", "--data", `${kind}:rows.${kind}?label=buys&fill=mean`, ...how]);
  const written = await succeed([
    "predict",
    `run-${kind}`,
    "--data",
    `${kind}:new.${kind}`,
    "--format",
    "json",
  ]);
  const predicted = JSON.parse(written) as { prediction: string; p_yes: number; p_no: number }[];
  await succeed(["export", `run-${kind}`, "--onnx", `${kind}.onnx`, "--with-preprocessing"]);
  const said = (await answers("table", `${kind}.onnx`, "new.json")) as {
    prediction: string;
    probabilities: number[];
  }[];
  expect(said.map(({ prediction }) => prediction)).toEqual(predicted.map(({ prediction }) => prediction));
  predicted.forEach(({ p_no, p_yes }, i) => {
    const probabilities = said[i]?.probabilities ?? [];
    expect(Math.abs(Math.max(...probabilities) - Math.max(p_no, p_yes))).toBeLessThan(1e-5);
  });
  // They are no constant, and mostly right.
  const right = predicted.filter(({ prediction }, i) => prediction === rows[300 + i]?.buys).length;
  expect(right).toBeGreaterThan(85);
});

test("text: a run and its exported file go on with a prompt in the same way", async () => {
  await writeFile(join(root, "song.txt"), "row row row your boat gently down the stream. ".repeat(120));
  const how = ["--epochs", "30", "--lr", "0.01", "--no-growth", "--quiet", "--run-dir", "run-text"];
  const host = ["--host", "charlm:width=16,blocks=1,heads=2"];
  await succeed(["grow", "--data", "text:song.txt?length=16", ...host, ...how]);
  const goOn = ["--prompt", "row r", "--length", "60", "--temperature", "0"];
  const text = await succeed(["generate", "run-text", ...goOn]);
  await succeed(["export", "run-text", "--onnx", "text.onnx"]);
  const said = await answers("text", "text.onnx", "run-text/run.json", "row r", "60");
  expect(said).toHaveLength(60);
  expect(text.trimEnd()).toContain(String(said).trimEnd());
  expect(said).toContain("boat gently");
});
