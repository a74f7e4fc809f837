/** What a run that goes on takes for its own, and what it takes over as a new one. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { readRunFolder } from "../src/weatherlight/folder/run-folder.js";

// As it was built: the thread that builds kernels needs JavaScript.
const built = async (path: string) =>
  import(new URL(`../dist/weatherlight/run/${path}.js`, import.meta.url).href);
const { grow } = (await built("grow")) as typeof import("../src/weatherlight/run/grow.js");
const { replayRun } = (await built("replay.node")) as typeof import("../src/weatherlight/run/replay.node.js");

const OLD = new URL("./fixtures/run-folders/stopped", import.meta.url).pathname;
let root: string;
let original: string;
let folder: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-adopt-"));
  original = join(root, "original");
  const stop = new AbortController();
  const { ended } = await grow({
    data: "spirals",
    engine: "wasm",
    epochs: 6,
    batch: 400,
    policy: "epoch:1",
    blueprint: "low-rank",
    runDir: original,
    runId: "mine",
    signal: stop.signal,
    onEpoch: ({ epoch }) => void (epoch === 3 && stop.abort()),
  });
  expect(ended).toBe("interrupted");
});
afterAll(() => rm(root, { recursive: true }));
beforeEach(async () => {
  folder = await mkdtemp(join(root, "r-"));
  await cp(original, folder, { recursive: true });
});

/** Goes on until it has told where it begins. */
async function goOn(options: object = {}): Promise<string[]> {
  const stop = new AbortController();
  const notices: string[] = [];
  const onNotice = (text: string): void => {
    notices.push(text);
    if (text.startsWith("resumed")) stop.abort();
  };
  await grow({ resume: folder, ...options, signal: stop.signal, onNotice });
  return notices;
}

async function change(name: string, how: (text: string) => string): Promise<void> {
  const path = join(folder, name);
  const before = await readFile(path, "utf8");
  const after = how(before);
  expect(after).not.toBe(before);
  await writeFile(path, after, { mode: 0o600 });
}

const withoutLast = (text: string): string => text.replace(/[^\n]*\n$/, "");
const commandLine = /[^\n]*"records":\[\{[^\n]*\n/;

test("its own work is gone on with", async () => {
  expect(await goOn()).toContainEqual(expect.stringMatching(/^resumed mine at step/));
});

describe("what others wrote is refused, with the way to take it over", () => {
  test.each<[string, () => Promise<void>, RegExp]>([
    [
      "a command dropped",
      () => change("commands.journal", (text) => text.replace(commandLine, "")),
      /changed by somebody|missing in the journal/,
    ],
    [
      "the last lines dropped",
      () => change("commands.journal", (text) => `${text.split("\n")[0]}\n`),
      /missing in the journal/,
    ],
    ["no journal", () => rm(join(folder, "commands.journal")), /missing in the journal/],
    [
      "another configuration",
      () => change("run.json", (text) => text.replace('"epochs": 6', '"epochs": 7')),
      /run.json was changed/,
    ],
    [
      "another run's id",
      () => change("run.json", (text) => text.replace('"run_id": "mine"', '"run_id": "yours"')),
      /is of run mine/,
    ],
    ["no keys", () => rm(join(folder, "control.keys")), /key file/],
    [
      "the journal of the first format",
      () => cp(join(OLD, "commands.journal"), join(folder, "commands.journal")),
      /older format/,
    ],
  ])("%s", async (_, spoil, message) => {
    await spoil();
    await expect(goOn()).rejects.toThrow(message);
    await expect(goOn()).rejects.toThrow(`kasmina grow --resume ${folder} --adopt`);
  });

  test("a checkpoint without its seal, or with another's", async () => {
    const names = ["checkpoint/checkpoint.json", "checkpoint/checkpoint.previous.json"];
    for (const name of names)
      await change(name, (text) => text.replace(/"key_id":"[^"]*","seal":"[^"]*",/, ""));
    await expect(goOn()).rejects.toThrow(/not this run's own work/);
    for (const name of names)
      await change(name, (text) =>
        text.replace('"content"', `"key_id":"k","seal":"${"0".repeat(64)}","content"`),
      );
    await expect(goOn()).rejects.toThrow(/not this run's own work/);
  });
});

describe("what is adopted", () => {
  test("is a new run, from the checkpoint, that says so; from then on it is gone on with as any other", async () => {
    await rm(join(folder, "control.keys"));
    const notices = await goOn({ adopt: true });
    expect(notices).toContain("adopted as a new run what was run mine");
    const about = (await readRunFolder(folder)).about as { run_id: string; adopted: object };
    expect(about.run_id).not.toBe("mine");
    expect(about.adopted).toEqual({ run_id: "mine", step: expect.any(Number) });
    expect(notices).toContainEqual(expect.stringContaining(`resumed ${about.run_id} at step`));
    expect(await goOn()).toContainEqual(expect.stringContaining(`resumed ${about.run_id}`));
    expect(await readFile(join(folder, "commands.journal.before-adoption"), "utf8")).not.toBe("");
  });

  test("carries out nothing of a journal that was forged, and knows none of the keys that came with it", async () => {
    const keys = await readFile(join(folder, "control.keys"), "utf8");
    await change("commands.journal", withoutLast);
    await goOn({ adopt: true });
    const now = await readFile(join(folder, "control.keys"), "utf8");
    expect(now).not.toContain((JSON.parse(keys) as { active: string }).active);
  });

  test("may be of the first format", async () => {
    await rm(folder, { recursive: true });
    await cp(OLD, folder, { recursive: true });
    await expect(goOn()).rejects.toThrow("--adopt");
    expect(await goOn({ adopt: true })).toContainEqual(expect.stringContaining("adopted as a new run"));
  });
});

describe("a replay", () => {
  test("changes nothing, and says what it cannot verify", async () => {
    const before = await readdir(folder, { recursive: true });
    expect(await replayRun(folder)).toMatchObject({ firstDifference: null, sameTensors: true });
    await rm(join(folder, "control.keys"));
    expect(await replayRun(folder)).toMatchObject({
      firstDifference: null,
      sameTensors: true,
      notVerified: "the run's keys are not here",
    });
    expect((await readdir(folder, { recursive: true })).sort()).toEqual(
      before.filter((n) => n !== "control.keys").sort(),
    );
  });

  test("reads no file because a stranger's run names it", async () => {
    await change("run.json", (text) => text.replace(/"origin": "[^"]*"/, '"origin": "csv:/etc/passwd"'));
    await expect(replayRun(folder)).rejects.toThrow(/somebody else says so; name its data with --data/);
  });
});
