/** Runs that end early, clip or decay, by the command line: replayed to the last bit, resumed, listed. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { kasmina } from "./kasmina.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-options-"));
  const rows = Array.from(
    { length: 400 },
    (_, i) => `${Math.sin(i * i)},${Math.cos(3 * i)},${i % 7 < 3 ? "a" : "b"}`,
  );
  await writeFile(join(root, "noise.csv"), ["x,y,class", ...rows].join("\n"));
  const config = {
    data: "csv:noise.csv?label=class",
    engine: "wasm",
    epochs: 60,
    lr: 0.03,
    policy: "epoch:1",
  };
  await writeFile(join(root, "config.json"), JSON.stringify(config));
});
afterAll(() => rm(root, { recursive: true }));

async function grown(folder: string, ...more: string[]) {
  const { code, stderr } = await kasmina(
    ["grow", "--config", "config.json", "--quiet", "--run-dir", folder, ...more],
    root,
  );
  expect(code, stderr).toBe(0);
  return JSON.parse(await readFile(join(root, folder, "summary.json"), "utf8"));
}

async function expectReplayed(folder: string): Promise<void> {
  const { code, stdout, stderr } = await kasmina(["replay", folder], root);
  expect([code, stdout], stderr).toEqual([0, expect.stringContaining("the same to the last bit")]);
}

test("the best network, seeds and all, is the same after a replay, and what predicts and is exported", async () => {
  const { best, epochs } = await grown("best", "--keep", "best", "--epochs", "20");
  expect(best.step).toBeLessThan(epochs * 9);
  await expectReplayed("best");
  expect((await kasmina(["export", "best", "--onnx", "best.onnx"], root)).code).toBe(0);
  const [run, file] = await Promise.all(
    ["best", "best.onnx"].map(async (of) => {
      const { code, stdout } = await kasmina(
        ["evaluate", of, "--data", "csv:noise.csv?label=class&test=0.5", "--json"],
        root,
      );
      expect(code).toBe(0);
      return JSON.parse(stdout);
    }),
  );
  expect(run.loss).toBeCloseTo(file.loss, 5);
});

test("patience, clipping and decay: a run with seeds ends by itself, and is replayed", async () => {
  const summary = await grown(
    "patient",
    "--patience",
    "2",
    "--clip-norm",
    "0.5",
    "--weight-decay",
    "0.001",
    "--name",
    "patient",
    "--tag",
    "noise",
  );
  expect(summary).toMatchObject({ ended: "patience", accuracy: expect.any(Number) });
  expect(summary.seeds.length).toBeGreaterThan(0);
  await expectReplayed("patient");
  const { config } = JSON.parse(await readFile(join(root, "patient", "run.json"), "utf8"));
  expect(config).toMatchObject({
    patience: 2,
    clipNorm: 0.5,
    weightDecay: 0.001,
    name: "patient",
    tags: ["noise"],
  });
  const { stdout } = await kasmina(["runs", "."], root);
  expect(stdout).toMatch(/patient "patient" #noise +finished/);
});

test("a time limit: exit code 0, replayed, and resumed to the end with another", async () => {
  const summary = await grown("limited", "--time-limit", "1s", "--epochs", "100");
  expect(summary).toMatchObject({ ended: "time_limit", accuracy: expect.any(Number) });
  await expectReplayed("limited");
  const { code, stderr } = await kasmina(
    ["grow", "--resume", "limited", "--time-limit", "1h", "--quiet"],
    root,
  );
  expect(code, stderr).toBe(0);
  expect(JSON.parse(await readFile(join(root, "limited", "summary.json"), "utf8"))).toMatchObject({
    ended: "finished",
  });
  await expectReplayed("limited");
});
