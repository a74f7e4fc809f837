/** What a run that goes on holds to: its data, its options, and what may be another. */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readCheckpoint } from "../folder/checkpoint.js";
import { isOfEpochStart } from "../folder/saved-checkpoint.js";
import type { RunKernels } from "../grow/ports.js";
import { grow } from "./grow.js";

/** Nothing grows in these runs. */
const kernels: RunKernels = {
  fetch: () => new Promise<never>(() => undefined),
  prewarm: async () => undefined,
};
const run = (options: object) => grow({ ...options, kernels });

let root: string;
let folder: string;
let data: string;
const rows = (count: number): string =>
  ["x,kind", ...Array.from({ length: count }, (_, i) => `${i},${i % 2}`)].join("\n");

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-resume-"));
  folder = join(root, "run");
  data = join(root, "t.csv");
  await writeFile(data, rows(60));
  const stop = new AbortController();
  const options = {
    data: `csv:${data}?label=kind`,
    engine: "wasm",
    epochs: 4,
    growth: false,
    runDir: folder,
  };
  const cut = await run({ ...options, signal: stop.signal, onEpoch: () => stop.abort() });
  expect(cut.ended).toBe("interrupted");
});
afterAll(() => rm(root, { recursive: true }));

describe("a run that goes on", () => {
  test.each([
    [{ epochs: 9 }, "a resumed run keeps its options; leave out epochs"],
    [{ seed: 1, lr: 0.1 }, "leave out seed, lr"],
    [{ threads: 0 }, "threads must be a whole number in 1..256, got 0"],
    [{ threads: "x" }, 'threads must be a whole number in 1..256, got "x"'],
    [{ data: "" }, "data must be a Dataset"],
    [{ resume: "" }, "resume must not be empty"],
  ])("refuses %j by name", async (options, message) => {
    await expect(run({ resume: folder, ...options })).rejects.toThrow(message);
  });

  test("refuses other data, says so of data it knows nothing of, and takes the same from another place", async () => {
    const about = await readFile(join(folder, "run.json"), "utf8");
    await writeFile(data, rows(80));
    await expect(run({ resume: folder })).rejects.toThrow(
      /t.csv\?label=kind has changed since the run began: rows were 60, are 80/,
    );

    const notices: string[] = [];
    const { data: _, ...before } = JSON.parse(about) as { readonly data: unknown };
    const older = join(root, "older");
    await cp(folder, older, { recursive: true });
    await writeFile(join(older, "run.json"), JSON.stringify(before));
    await writeFile(data, rows(60));
    const stop = new AbortController();
    const listening = { onNotice: (text: string) => void notices.push(text), onEpoch: () => stop.abort() };
    await run({ resume: older, adopt: true, signal: stop.signal, ...listening });
    expect(notices.join("\n")).toMatch(/run.json does not say which data the run began with/);

    const moved = join(root, "moved.csv");
    await writeFile(moved, rows(60));
    await rm(data);
    await expect(run({ resume: folder })).rejects.toThrow(`cannot read ${data}`);
    const finished = await run({ resume: folder, data: `csv:${moved}?label=kind` });
    expect(finished.dataSha256).toBe((JSON.parse(about) as { data: { sha256: string } }).data.sha256);
  });
});

describe("checkpoints within an epoch", () => {
  const tensorsOf = async (path: string) => (await readCheckpoint(join(path, "checkpoint"))).tensors;
  const begin = (name: string, more: object) =>
    run({ data: "spirals", engine: "wasm", epochs: 2, growth: false, runDir: join(root, name), ...more });

  test("leave the one of the epoch's start for a rollback, and change no result", async () => {
    await begin("rare", { checkpointEvery: "1h" });
    let atStop: boolean[] = [];
    const looked = async (): Promise<void> => {
      const found = await Promise.all(
        (["current", "previous"] as const).map((which) =>
          readCheckpoint(join(root, "often", "checkpoint"), which),
        ),
      );
      atStop = found.map(isOfEpochStart);
    };
    await begin("often", { checkpointEvery: "3steps", onEpoch: looked });
    expect(atStop).toEqual([false, true]);
    expect(await tensorsOf(join(root, "often"))).toEqual(await tensorsOf(join(root, "rare")));
  });

  test("a resumed run may be given another interval, and no other than it can read", async () => {
    const stop = new AbortController();
    await begin("cut", { signal: stop.signal, onEpoch: () => stop.abort() });
    await expect(run({ resume: join(root, "cut"), checkpointEvery: "often" })).rejects.toThrow(
      'checkpointEvery must be a time or a number of steps, such as "60s", "5m", "500steps", got "often"',
    );
    const { ended } = await run({ resume: join(root, "cut"), checkpointEvery: "2steps" });
    expect(ended).toBe("finished");
    expect(await tensorsOf(join(root, "cut"))).toEqual(await tensorsOf(join(root, "rare")));
  });
});

describe("few rows", () => {
  const csv = async (count: number): Promise<string> => {
    const path = join(root, `${count}.csv`);
    await writeFile(path, rows(count));
    return `csv:${path}?label=kind`;
  };
  const few = { engine: "wasm", epochs: 1, growth: false };

  test.each([30, 8])("%i of them are one batch where none is asked for", async (count) => {
    const runDir = join(root, `few-${count}`);
    expect((await run({ ...few, data: await csv(count), runDir })).steps).toBe(1);
    const { config } = JSON.parse(await readFile(join(runDir, "run.json"), "utf8"));
    expect(config.batch).toBeLessThan(count);
  });

  test("a batch that is asked for is never made smaller", async () => {
    await expect(run({ ...few, data: await csv(30), batch: 32 })).rejects.toThrow(
      /batch 32 is larger than the \d+ training rows of csv:/,
    );
  });
});
