/** Rows of weight 0 teach nothing and are judged by nowhere, in a run that is stopped, resumed, replayed, and used. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { kasmina, start } from "./kasmina.js";
import { epochOf, tensorsDigest } from "./resume.fixture.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-row-weights-"));
  // Three of five rows say the opposite of what is true, and count for nothing.
  const rows = Array.from({ length: 800 }, (_, i) => {
    const [x, counts] = [Math.sin(i * i), i % 5 < 2];
    return `${x},${x > 0 === counts ? "yes" : "no"},${counts ? 1 + (i % 3) : 0}`;
  });
  await writeFile(join(root, "t.csv"), `x,answer,people\n${rows.join("\n")}\n`);
});
afterAll(() => rm(root, { recursive: true }));

const options = [
  ...["--engine", "wasm", "--epochs", "8", "--batch", "16", "--lr", "0.02", "--policy", "epoch:2"],
  ...["--latency-budget", "600000", "--class-weights", "balanced"],
];

test("a weighted run learns what counts, the same whether it was stopped or not", async () => {
  const data = ["--data", "csv:t.csv?label=answer&weight=people"];
  const whole = await kasmina(["grow", ...data, ...options, "--run-dir", "whole", "--json"], root);
  expect(whole.code, whole.stderr).toBe(0);
  const summary = JSON.parse(whole.stdout.trim().split("\n").at(-1) ?? "");
  expect(summary.metrics.balanced_accuracy).toBeGreaterThan(0.9);

  const { child, finished } = start(["grow", ...data, ...options, "--run-dir", "cut", "--quiet"], root);
  while (epochOf(join(root, "cut")) < 3) await new Promise((resolve) => setTimeout(resolve, 5));
  child.kill("SIGKILL");
  await finished;
  expect(await kasmina(["grow", "--resume", "cut", "--quiet"], root)).toMatchObject({ code: 0 });
  expect(tensorsDigest(join(root, "cut"))).toBe(tensorsDigest(join(root, "whole")));
  expect((await kasmina(["replay", "cut"], root)).stdout).toContain("the same to the last bit");

  const evaluate = async (name: string) => {
    const { stdout, stderr } = await kasmina(["evaluate", "whole", "--data", name, "--json"], root);
    return { stderr, metrics: JSON.parse(stdout).metrics };
  };
  // Its own test part, weighed as it was.
  const own = await evaluate("csv:t.csv?label=answer&weight=people");
  expect(own.metrics).toEqual(summary.metrics);
  // All rows of a table, where those that lie count like the others.
  await writeFile(join(root, "new.csv"), "x,answer\n0.8,yes\n0.7,no\n-0.9,yes\n");
  expect((await evaluate("csv:new.csv")).metrics.accuracy).toBeCloseTo(1 / 3, 6);
  await writeFile(join(root, "new.csv"), "x,answer,people\n0.8,yes,4\n0.7,no,1\n-0.9,yes,0\n");
  expect((await evaluate("csv:new.csv")).metrics.accuracy).toBeCloseTo(0.8, 6);
}, 300_000);
