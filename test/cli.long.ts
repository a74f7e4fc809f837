/** Whole runs of the built command line, as long as a run is. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { linesOf, SHORT, SMALL } from "./cli.fixture.js";
import { kasmina, start } from "./kasmina.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-cli-"));
});
afterAll(() => rm(root, { recursive: true }));

const fresh = (): Promise<string> => mkdtemp(join(root, "w-"));
test("the same seed gives the same losses to the last bit, another seed others", async () => {
  const losses = (of: Record<string, unknown>[]): unknown[] =>
    of
      .filter((line) => line.type === "step" || line.type === "epoch")
      .map((line) => [line.type, line.loss, line.train_loss, line.val_loss, line.val_accuracy, line.seeds]);
  const run = async (seed: string): Promise<unknown[]> =>
    losses(linesOf((await kasmina([...SHORT, "--seed", seed], root)).stdout));
  const first = await run("5");
  expect(first.length).toBeGreaterThan(16);
  expect(await run("5")).toEqual(first);
  expect(await run("6")).not.toEqual(first);
});

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("%s ends the run with its checkpoint written", async (signal, code) => {
  const cwd = await fresh();
  const running = start([...SMALL, "--epochs", "2000", "--json", "--run-dir", "run"], cwd);
  await running.printed('"type":"epoch"');
  running.child.kill(signal);
  const { code: exit, stderr } = await running.finished;
  expect(exit).toBe(code);
  expect(stderr).toMatch(/kasmina: stopped after \d+ steps; the checkpoint is in .*\n$/);
  const summary = JSON.parse(await readFile(join(cwd, "run", "summary.json"), "utf8"));
  expect(summary.ended).toBe("interrupted");
  const inspected = await kasmina(["inspect", "run"], cwd);
  expect(inspected.code).toBe(0);
  expect(inspected.stdout).toMatch(/checkpoint\s+digest ok/);
  expect(inspected.stdout).toMatch(/block1\s+\[\d+\]\s+block1\s+\d+/);
});

test("a loss that is not finite ends the run with exit code 1, every file of it whole", async () => {
  const cwd = await fresh();
  const args = [...SMALL, "--quiet", "--optimizer", "sgd", "--lr", "1e30", "--run-dir", "run"];
  const { code, stdout, stderr } = await kasmina(args, cwd);
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(/^kasmina: [^\n]*loss[^\n]*step \d+[^\n]*\n$/);
  const files = await readdir(join(cwd, "run"), { recursive: true });
  expect(files).not.toContain("summary.json");
  expect(files.filter((name) => name.endsWith(".tmp"))).toEqual([]);
  const events = await readFile(join(cwd, "run", "events.ndjson"), "utf8");
  if (events !== "") expect(linesOf(events).length).toBeGreaterThan(0);
});
