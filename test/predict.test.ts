/** What `kasmina predict` and `kasmina evaluate` print. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { kasmina } from "./kasmina.js";

const CLASSES = ["a, b", "plain", 'say "no"'];

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-predict-"));
  const cells = CLASSES.map((name) => `"${name.replaceAll('"', '""')}"`);
  const rows = Array.from({ length: 300 }, (_, i) => `${i % 3},${(i * 7) % 5},${cells[i % 3]}`);
  await writeFile(join(root, "train.csv"), `x,y,class\n${rows.join("\n")}\n`);
  await writeFile(join(root, "new.csv"), "y,x\n4,0\n1,1\n3,2\n");
  const data = [
    "--data",
    "csv:train.csv?label=class",
    "--engine",
    "wasm",
    "--epochs",
    "20",
    "--lr",
    "0.02",
    "--no-growth",
  ];
  const { code, stderr } = await kasmina(["grow", ...data, "--run-dir", "run", "--quiet"], root);
  expect(code, stderr).toBe(0);
}, 120_000);
afterAll(() => rm(root, { recursive: true }));

const HEADER = ["prediction", ...CLASSES.map((name) => `p_${name}`)];

describe("predictions", () => {
  test("are a table that every reader of CSV reads, whatever classes are called", async () => {
    const { code, stdout, stderr } = await kasmina(["predict", "run", "--data", "csv:new.csv"], root);
    expect([code, stderr]).toEqual([0, ""]);
    const [header, ...rows] = parse(stdout) as string[][];
    expect(header).toEqual(HEADER);
    expect(rows.map(([prediction]) => prediction)).toEqual(CLASSES);
    for (const [, ...probabilities] of rows)
      expect(probabilities.reduce((sum, cell) => sum + Number(cell), 0)).toBeCloseTo(1, 5);
  });

  test.each(["jsonl", "json"])("are %s where the file is called that", async (ending) => {
    const out = `out.${ending}`;
    const { code, stdout, stderr } = await kasmina(
      ["predict", "run", "--data", "csv:new.csv", "--out", out],
      root,
    );
    expect([code, stdout, stderr]).toEqual([0, "", `kasmina: wrote 3 predictions to ${out}\n`]);
    const text = await readFile(join(root, out), "utf8");
    const rows = (
      ending === "json"
        ? JSON.parse(text)
        : text
            .trim()
            .split("\n")
            .map((line) => JSON.parse(line))
    ) as object[];
    expect(rows.map((row) => Object.keys(row))).toEqual([HEADER, HEADER, HEADER]);
  });

  test("of a file of another name need a format; of bad rows nothing is written", async () => {
    const named = await kasmina(["predict", "run", "--data", "csv:new.csv", "--out", "out.txt"], root);
    expect([named.code, named.stderr]).toEqual([
      2,
      expect.stringContaining("name it .csv, .jsonl or .json, or give --format"),
    ]);
    await writeFile(join(root, "bad.csv"), "x,y\n1,2\n1,two\n");
    const bad = await kasmina(["predict", "run", "--data", "csv:bad.csv", "--out", "bad-out.csv"], root);
    expect([bad.code, bad.stderr]).toEqual([
      2,
      'kasmina: csv:bad.csv: row 2, column "y": "two" is not a number\n',
    ]);
    await expect(readFile(join(root, "bad-out.csv"))).rejects.toThrow(/ENOENT/);
  });
});

test("an evaluation is one line of JSON, or a table with a confusion matrix", async () => {
  const json = await kasmina(["evaluate", "run", "--data", "csv:train.csv?label=class", "--json"], root);
  const evaluation = JSON.parse(json.stdout) as Record<string, unknown>;
  expect(Object.keys(evaluation)).toEqual(["task", "rows", "loss", "metrics"]);
  expect(evaluation).toMatchObject({ task: "classification", rows: 60, metrics: { accuracy: 1 } });
  expect(json.stderr).toBe("kasmina: the run learned from these data: its test part is evaluated\n");
  const summary = JSON.parse(await readFile(join(root, "run", "summary.json"), "utf8"));
  expect(summary).toMatchObject({ task: "classification", accuracy: 1, metrics_host_alone: null });
  expect(summary.metrics).toEqual(evaluation.metrics);
  expect(summary.loss).toBeCloseTo(evaluation.loss as number, 6);
  const { stdout } = await kasmina(["evaluate", "run", "--data", "csv:train.csv"], root);
  expect(stdout).toMatch(/balanced accuracy {2}1\.0000/);
  expect(stdout).toContain('is \\ said to be  a, b  plain  say "no"');
});

test("of classes of different sizes the summary and the terminal say more than the accuracy", async () => {
  const rows = Array.from({ length: 500 }, (_, i) => `${Math.sin(i)},${i % 50 === 0 ? "rare" : "usual"}`);
  await writeFile(join(root, "rare.csv"), `x,class\n${rows.join("\n")}\n`);
  const data = ["--data", "csv:rare.csv?label=class", "--engine", "wasm", "--epochs", "2", "--no-growth"];
  const { stdout } = await kasmina(["grow", ...data, "--run-dir", "rare", "--quiet"], root);
  const { accuracy, metrics } = JSON.parse(await readFile(join(root, "rare", "summary.json"), "utf8"));
  expect(accuracy).toBeCloseTo(0.98, 2);
  expect(metrics).toMatchObject({ accuracy, balanced_accuracy: 0.5 });
  expect(stdout).toMatch(/test set +balanced accuracy 50\.00 %, macro F1 0\.4949/);
});
