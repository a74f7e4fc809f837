import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readCheckpoint } from "./checkpoint.js";
import { EventLines, RunFolder, readLosses, readRunFolder } from "./run-folder.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-run-"));
});
afterAll(() => rm(root, { recursive: true }));

const fresh = (): Promise<string> => mkdtemp(join(root, "r-"));

test("a run's folder holds what was asked, what happened, the checkpoint and the report", async () => {
  const path = join(await fresh(), "a", "b");
  const folder = await RunFolder.create(path, { runId: "r1" });
  folder.append({ type: "epoch", epoch: 1 });
  folder.append({ type: "epoch", epoch: 2 });
  await folder.writeCheckpoint({ tensors: {}, meta: { step: 5 } });
  expect(await readRunFolder(path)).not.toHaveProperty("summary");
  await folder.writeSummary({ accuracy: 0.5 });
  folder.close();
  folder.close();
  folder.append({ type: "late" });
  expect(await readRunFolder(path)).toMatchObject({ about: { runId: "r1" }, summary: { accuracy: 0.5 } });
  const lines = (await readFile(join(path, "events.ndjson"), "utf8")).trim().split("\n");
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    { type: "epoch", epoch: 1 },
    { type: "epoch", epoch: 2 },
  ]);
  expect((await readCheckpoint(folder.checkpointPath)).meta).toEqual({ step: 5 });
  expect((await readdir(path)).sort()).toEqual([
    ".lease",
    "checkpoint",
    "events.ndjson",
    "losses.f32",
    "run.json",
    "summary.json",
  ]);
});

describe("a folder that cannot be used is refused and left as it was", () => {
  test.each([
    "run.json",
    "summary.json",
    "events.ndjson",
    "checkpoint",
  ])("with %s of a run in it", async (name) => {
    const path = await fresh();
    await writeFile(join(path, name), "mine");
    await expect(RunFolder.create(path, {})).rejects.toMatchObject({
      code: "invalid_argument",
      message: `run folder ${path} already holds a run (${name})`,
    });
    expect(await readFile(join(path, name), "utf8")).toBe("mine");
    expect(await readdir(path)).toEqual([name]);
  });

  test("below a file", async () => {
    const path = await fresh();
    await writeFile(join(path, "file"), "mine");
    await expect(RunFolder.create(join(path, "file", "run"), {})).rejects.toThrow(
      "a part of its path is a file",
    );
    await expect(RunFolder.create(join(path, "file"), {})).rejects.toThrow("there is a file of that name");
    expect(await readdir(path)).toEqual(["file"]);
  });

  test("where nothing can be made", async () => {
    // /proc takes no files, whoever asks: the one place where root is refused too.
    await expect(RunFolder.create("/proc/kasmina/run", {})).rejects.toMatchObject({
      code: "invalid_argument",
    });
  });

  test("folders made on the way are removed again", async () => {
    const path = await fresh();
    const about = { big: 1n } as unknown as Record<string, string>;
    await expect(RunFolder.create(join(path, "a", "b"), about)).rejects.toThrow("BigInt");
    expect(await readdir(path)).toEqual([]);
  });

  test("of two runs that start at once, one gets it", async () => {
    const path = await fresh();
    const both = await Promise.allSettled([1, 2].map((n) => RunFolder.create(path, { n })));
    expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    for (const result of both) if (result.status === "fulfilled") result.value.close();
  });
});

test("other files in the folder do not matter", async () => {
  const path = await fresh();
  await mkdir(join(path, "notes"));
  (await RunFolder.create(path, {})).close();
  expect(await readdir(path)).toContain("notes");
});

test("a folder without a run is named", async () => {
  const path = await fresh();
  await expect(readRunFolder(path)).rejects.toThrow(`${path} holds no run: no run.json in it`);
  await writeFile(join(path, "run.json"), "{");
  await expect(readRunFolder(path)).rejects.toMatchObject({ code: "corrupt" });
});

test("lines are read on as they are written, all of them or those that are marked", async () => {
  const folder = await fresh();
  const file = join(folder, "events.ndjson");
  const [all, marked] = [new EventLines(folder), new EventLines(folder, ["ü:bad", ":worse"])];
  const texts = ["a:good", "ü:bad", "c:good", ":worse ü:bad", "e:worse", "f:good"];
  for (let written = 1; written <= texts.length; written++) {
    // The last one is torn still.
    await writeFile(file, `${texts.slice(0, written).join("\n")}\n${texts[written]?.slice(0, 3) ?? ""}`);
    const lines = texts.slice(0, written);
    expect(await all.read()).toEqual(lines);
    expect(await marked.read()).toEqual(lines.filter((line) => /bad|worse/.test(line)));
  }
});

test("losses are read while the run goes on", async () => {
  const path = await fresh();
  const folder = await RunFolder.create(path, {});
  const steps = 4_000;
  const writing = (async () => {
    for (let step = 0; step < steps; step++) {
      folder.recordLoss(step, step);
      if (step % 4 === 0) await new Promise(setImmediate);
    }
  })();
  let [isOver, most] = [false, 0];
  void writing.then(() => {
    isOver = true;
  });
  while (!isOver) {
    const losses = await readLosses(path);
    expect(losses.every((loss, step) => loss === step)).toBe(true);
    most = Math.max(most, losses.length);
  }
  await writing;
  folder.close();
  expect(most).toBeGreaterThan(0);
  expect(await readLosses(path)).toHaveLength(steps);
});
