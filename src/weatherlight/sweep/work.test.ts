import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { acquireLease } from "../../base/disk/index.node.js";
import { systemClock } from "../../base/index.js";
import { SweepFolder } from "./sweep-folder.node.js";
import { sweepResults } from "./sweep-results.js";
import { type Launch, type WorkOptions, workOn } from "./work.node.js";

const ENDED = new URL("../../../test/fixtures/run-folders/ended/", import.meta.url).pathname;
const KNOWN = new Set(["lr"]);

let root = "";
let folder: SweepFolder;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-sweep-"));
  await writeFile(join(root, "s.json"), JSON.stringify({ grid: { lr: [0.1, 0.2] }, seeds: [0, 1, 2] }));
  folder = await SweepFolder.create(join(root, "s.json"), join(root, "sweep"), KNOWN);
});
afterEach(() => rm(root, { recursive: true }));

const pathIn = (args: readonly string[]) =>
  args[1 + args.findIndex((arg) => /^--(run-dir|resume)$/.test(arg))] ?? "";

/** A run that ends at once, with an accuracy of its own. */
const finish: Launch = async (args) => {
  const path = pathIn(args);
  const made = await mkdtemp(join(root, "made-"));
  await cp(ENDED, made, { recursive: true });
  const summary = JSON.parse(await readFile(join(made, "summary.json"), "utf8"));
  const [, variant = 0, seed = 0] = (/v(\d+)-s(\d+)/.exec(basename(path)) ?? []).map(Number);
  const accuracy = 0.5 + 0.1 * variant + 0.01 * seed;
  await writeFile(join(made, "summary.json"), JSON.stringify({ ...summary, accuracy, loss: 1 - accuracy }));
  await rm(path, { recursive: true, force: true });
  await rename(made, path);
  return { code: 0, problem: "" };
};

function work(launch: Launch, options: Partial<WorkOptions> = {}): Promise<void> {
  const { signal } = new AbortController();
  return workOn({ folder, slots: 2, launch, clock: systemClock, signal, pollMs: 10, ...options });
}

const states = async () => (await folder.status()).map(({ state }) => state);

describe("a sweep", () => {
  test("does each run once, in order, and compares variants in pairs of seeds", async () => {
    const launched: string[] = [];
    const launch: Launch = (args, signal) => {
      launched.push(basename(pathIn(args)));
      return finish(args, signal);
    };
    await work(launch, { slots: 1 });
    await work(launch);
    expect(launched).toEqual(["v000-s0", "v000-s1", "v000-s2", "v001-s0", "v001-s1", "v001-s2"]);
    const [first, second] = sweepResults(folder, await folder.status());
    expect(first).toMatchObject({ finished: 3, accuracy_difference: null });
    expect(first?.accuracy?.mean).toBeCloseTo(0.51);
    expect(second?.accuracy_difference?.mean).toBeCloseTo(0.1);
    expect(second?.accuracy_difference?.half_95).toBeCloseTo(0);
    expect(second?.loss_difference?.mean).toBeCloseTo(-0.1);
  });

  test("is shared by several workers, and each run is done by one", async () => {
    const launched: string[] = [];
    const slow: Launch = async (args, signal) => {
      launched.push(basename(pathIn(args)));
      await new Promise((done) => setTimeout(done, 5));
      return finish(args, signal);
    };
    await Promise.all([work(slow), work(slow), work(slow)]);
    expect([...launched].sort()).toEqual(folder.sweep.runs.map(({ id }) => id));
  });

  test("tries a run again that failed, from where it was, and gives it up after the third time", async () => {
    const tried: string[] = [];
    await work(async (args, signal) => {
      if (!pathIn(args).endsWith("v000-s1")) return finish(args, signal);
      tried.push(args.includes("--resume") ? "resume" : "begin");
      await mkdir(pathIn(args), { recursive: true });
      await cp(join(ENDED, "run.json"), join(pathIn(args), "run.json"));
      return { code: 1, problem: "out of memory" };
    });
    expect(tried).toEqual(["begin", "resume", "resume"]);
    const [, failed] = await folder.status();
    expect(failed).toMatchObject({ state: "failed", problem: "out of memory" });
    await new Promise((done) => setTimeout(done, 5));
    await work(finish);
    expect(new Set(await states())).toEqual(new Set(["finished"]));
  });

  test("does not try again what was asked for wrongly", async () => {
    let tries = 0;
    await work(async () => ({ code: 2, problem: `no such data, try ${++tries}` }));
    expect(tries).toBe(6);
    expect(new Set(await states())).toEqual(new Set(["failed"]));
  });

  test("leaves a run alone as long as a process is at it, and goes on with it after", async () => {
    const [run] = folder.sweep.runs;
    const path = folder.runFolder(run ?? expect.fail("no run"));
    await mkdir(path);
    const lease = await acquireLease(path, { purpose: "another" });
    let released = false;
    setTimeout(() => {
      released = true;
      if (!lease.held) lease.release();
    }, 100);
    await work(async (args, signal) => {
      if (pathIn(args) === path) expect(released).toBe(true);
      return finish(args, signal);
    });
    expect(new Set(await states())).toEqual(new Set(["finished"]));
  });

  test("stops when it is asked to, and goes on", async () => {
    const untilStopped: Launch = (_, signal) =>
      new Promise((done) => signal.addEventListener("abort", () => done({ code: 143, problem: "" })));
    const going = work(untilStopped);
    await folder.askToStop();
    await going;
    expect(new Set(await states())).toEqual(new Set(["waiting"]));
    folder.withdrawStop();
    await work(finish);
    expect(new Set(await states())).toEqual(new Set(["finished"]));
  });

  test("launches nothing that it was asked to stop before", async () => {
    const stop = new AbortController();
    const { prepare } = folder;
    folder.prepare = async (run) => {
      const isFree = await prepare.call(folder, run);
      stop.abort();
      return isFree;
    };
    let launched = 0;
    const launch: Launch = async () => ({ code: ++launched, problem: "" });
    await work(launch, { slots: 1, signal: stop.signal });
    expect(launched).toBe(0);
  });

  test("goes on where one run's folder is damaged, and leaves it as it is", async () => {
    const path = join(folder.path, "v000-s1");
    await mkdir(path);
    await writeFile(join(path, "run.json"), "{");
    await work(finish);
    const [, damaged, ...others] = await folder.status();
    expect(damaged).toMatchObject({ state: "failed", problem: expect.stringContaining("run.json") });
    expect(new Set(others.map(({ state }) => state))).toEqual(new Set(["finished"]));
    expect(await readFile(join(path, "run.json"), "utf8")).toBe("{");
  });

  test("takes no folder in which another lies", async () => {
    await writeFile(join(root, "other.json"), "{}");
    await expect(SweepFolder.create(join(root, "other.json"), folder.path, KNOWN)).rejects.toThrow(
      /holds another sweep/,
    );
    await expect(SweepFolder.open(root, KNOWN)).rejects.toThrow(/there is no sweep in/);
  });
});
