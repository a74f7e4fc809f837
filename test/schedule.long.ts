/** A run by a schedule of its own: rates follow from the step alone, so it is resumed and replayed bit for bit. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readCheckpoint } from "../src/weatherlight/folder/checkpoint.js";

/** The built one: kernels have a thread of their own. */
const { grow, replayRun } = (await import(
  new URL("../dist/weatherlight/index.js", import.meta.url).href
)) as typeof import("../src/weatherlight/index.js");

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-schedule-"));
});
afterAll(() => rm(root, { recursive: true }));

const tensorsOf = async (name: string) => (await readCheckpoint(join(root, name, "checkpoint"))).tensors;

describe.each(["constant", "cosine", "linear"] as const)("a run by the schedule %s", (schedule) => {
  const options = {
    data: "spirals",
    engine: "wasm",
    epochs: 2,
    policy: "epoch:1",
    latencyBudget: 600_000,
    schedule,
    warmup: "20%",
  } as const;

  test("that was cut within its warm-up ends as one that was not, and replays bit for bit", async () => {
    const [whole, cut] = [`${schedule}-whole`, `${schedule}-cut`];
    await grow({ ...options, runDir: join(root, whole) });
    const stop = new AbortController();
    const onStep = ({ step }: { readonly step: number }): void => {
      if (step >= 3) stop.abort();
    };
    const cutting = { signal: stop.signal, onStep, reportEverySteps: 1 };
    const part = await grow({ ...options, ...cutting, runDir: join(root, cut) });
    expect([part.ended, part.steps]).toEqual(["interrupted", 3]);
    const rest = await grow({ resume: join(root, cut) });
    expect([rest.ended, rest.seeds.length]).toEqual(["finished", 1]);
    expect(await tensorsOf(cut)).toEqual(await tensorsOf(whole));
    expect(await replayRun(join(root, cut))).toMatchObject({ firstDifference: null, sameTensors: true });
  });
});
