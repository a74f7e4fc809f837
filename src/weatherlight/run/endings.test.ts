/** How a run ends before its last epoch, and what it is called: what is kept of it, what is refused. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../../base/index.js";
import { compareRuns, listRuns } from "../folder/list-runs.js";
import { grow } from "./grow.js";
import type { GrowOptions } from "./grow-options.js";
import { readGrownNetwork } from "./read-network.node.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-endings-"));
});
afterAll(() => rm(root, { recursive: true }));

/** Labels that follow from nothing: what is held out gets worse soon. */
const inputs = Array.from({ length: 240 }, (_, i) => [Math.sin(i * i), Math.cos(3 * i * i), Math.sin(7 * i)]);
const NOISE = {
  train: { inputs, labels: inputs.map((_, i) => ((i * 7919) % 13 < 6 ? 1 : 0)) },
  name: "noise",
};
const QUICK = { engine: "wasm", growth: false } as const satisfies GrowOptions;

/** A second goes by whenever it is looked at. */
function hastyClock(): Clock {
  let ms = 0;
  return { ...systemClock, nowMs: () => systemClock.nowMs(), monotonicMs: () => (ms += 1_000) };
}

async function summaryOf(folder: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(folder, "summary.json"), "utf8"));
}

describe("patience", () => {
  test("ends a run that gets no better, with its report", async () => {
    const runDir = join(root, "patience");
    const losses: number[] = [];
    const run = await grow({
      ...QUICK,
      data: NOISE,
      epochs: 60,
      lr: 0.03,
      patience: 3,
      runDir,
      onEpoch: ({ valLoss }) => void losses.push(valLoss),
    });
    expect(run.ended).toBe("patience");
    const best = losses.indexOf(Math.min(...losses));
    expect(losses.length - 1 - best).toBe(3);
    expect(run.accuracy).toBeGreaterThanOrEqual(0);
    expect(await summaryOf(runDir)).toMatchObject({ ended: "patience", accuracy: run.accuracy });
    await expect(grow({ resume: runDir, data: NOISE })).rejects.toThrow("has ended");
  });

  test("is remembered by a run that is stopped and resumed", async () => {
    const asked = { ...QUICK, data: NOISE, epochs: 60, lr: 0.03, patience: 3 } as const;
    const whole = await grow(asked);
    const stop = new AbortController();
    const runDir = join(root, "stopped");
    const afterBest = Math.max(1, whole.steps - 2);
    await grow({
      ...asked,
      runDir,
      signal: stop.signal,
      reportEverySteps: 1,
      onStep: ({ step }) => step >= afterBest && stop.abort(),
    });
    const resumed = await grow({ resume: runDir, data: NOISE });
    expect([resumed.ended, resumed.steps]).toEqual(["patience", whole.steps]);
    expect(resumed.network.parameters).toEqual(whole.network.parameters);
  });
});

describe("keep: best", () => {
  const asked = { ...QUICK, data: NOISE, epochs: 12, lr: 0.03, keep: "best" } as const;

  test("makes the network of the best epoch the run's, in memory and from its folder", async () => {
    const losses: number[] = [];
    const runDir = join(root, "best");
    const run = await grow({ ...asked, runDir, onEpoch: ({ valLoss }) => void losses.push(valLoss) });
    const best = losses.indexOf(Math.min(...losses));
    expect(best).toBeLessThan(losses.length - 1);
    const stepsPerEpoch = run.steps / losses.length;
    expect(run.best).toEqual({ step: (best + 1) * stepsPerEpoch, heldOutLoss: losses[best] });
    expect(await summaryOf(runDir)).toMatchObject({
      best: { step: run.best?.step, held_out_loss: losses[best] },
      accuracy: run.accuracy,
    });
    // Cut there, with the same schedule, the last network is that one.
    const stop = new AbortController();
    const cut = await grow({
      ...asked,
      keep: "last",
      signal: stop.signal,
      onEpoch: ({ epoch }) => void (epoch === best + 1 && stop.abort()),
    });
    expect(cut.steps).toBe(run.best?.step);
    expect(run.network.parameters).toEqual(cut.network.parameters);
    const read = await readGrownNetwork(runDir);
    expect(read.parameters).toEqual(run.network.parameters);
    expect(read.metadata.step).toBe(String(run.best?.step));
    const next = await grow({
      from: runDir,
      data: NOISE,
      epochs: 1,
      engine: "wasm",
      growth: false,
      lr: 1e-30,
    });
    // At this rate nothing changes that is not 0.
    const stem = "host/stem/w";
    expect(next.network.parameters[stem]).toEqual(read.parameters[stem]);
  });

  test("is remembered by a run that is stopped and resumed", async () => {
    const whole = await grow(asked);
    const stop = new AbortController();
    const runDir = join(root, "best-stopped");
    const afterBest = (whole.best?.step ?? 0) + 3;
    const onStep = ({ step }: { readonly step: number }) => step >= afterBest && stop.abort();
    await grow({ ...asked, runDir, signal: stop.signal, reportEverySteps: 1, onStep });
    const resumed = await grow({ resume: runDir, data: NOISE });
    expect(resumed.best).toEqual(whole.best);
    expect(resumed.network.parameters).toEqual(whole.network.parameters);
  });
});

test("a time limit ends a run at a step boundary; it goes on with another, to the bits of a run that was never ended", async () => {
  const asked = { ...QUICK, data: NOISE, epochs: 4 } as const;
  const whole = await grow(asked);
  const runDir = join(root, "limit");
  const cut = await grow({ ...asked, runDir, timeLimit: "10s", clock: hastyClock() });
  expect(cut.ended).toBe("time_limit");
  expect(cut.steps).toBeLessThan(whole.steps);
  expect(cut.accuracy).toBeGreaterThanOrEqual(0);
  expect((await listRuns(root)).runs.find(({ path }) => path === runDir)?.state).toBe("time_limit");
  const resumed = await grow({ resume: runDir, data: NOISE, timeLimit: "1h" });
  expect([resumed.ended, resumed.steps]).toEqual(["finished", whole.steps]);
  expect(resumed.network.parameters).toEqual(whole.network.parameters);
});

test("weight decay and clipping change what is learned, each as it is asked for", async () => {
  const parametersOf = async (options: Partial<GrowOptions>) =>
    (await grow({ ...QUICK, data: NOISE, epochs: 2, ...options })).network.parameters;
  const plain = await parametersOf({});
  expect(await parametersOf({ weightDecay: 0, clipNorm: 1e9 })).toEqual(plain);
  const norm = (tensors: typeof plain): number =>
    Math.hypot(...Object.values(tensors).flatMap(({ data }) => [...data]));
  expect(norm(await parametersOf({ optimizer: "adamw", weightDecay: 1 }))).toBeLessThan(
    norm(await parametersOf({ optimizer: "adamw", weightDecay: 0 })),
  );
  expect(await parametersOf({ optimizer: "sgd", clipNorm: 0.01 })).not.toEqual(
    await parametersOf({ optimizer: "sgd" }),
  );
});

test("a run is listed by its name and tags, which set no runs apart", async () => {
  const folder = join(root, "named");
  for (const name of ["first try", "second"])
    await grow({
      ...QUICK,
      data: "spirals",
      epochs: 1,
      runDir: join(folder, name),
      name,
      tags: ["paper", name],
    });
  const { runs } = await listRuns(folder);
  expect(runs.map(({ name, tags }) => [name, tags])).toEqual([
    ["first try", ["paper", "first try"]],
    ["second", ["paper", "second"]],
  ]);
  const compared = await compareRuns(runs.map(({ path }) => path));
  expect(compared.differences).toEqual({});
});

describe("what they cannot be is one line that names the option", () => {
  test.each<[Partial<GrowOptions>, string]>([
    [{ patience: 0 }, "patience must be a whole number in 1..100000, got 0"],
    [{ patience: 1.5 }, "patience must be a whole number"],
    [{ timeLimit: "10" }, 'timeLimit must be a time such as "60s", "10m", "2h", got "10"'],
    [{ timeLimit: "500steps" }, "timeLimit must be a time"],
    [{ timeLimit: "0s" }, "timeLimit must be a time"],
    [{ weightDecay: -1 }, "weightDecay must be a number in 0..1, got -1"],
    [{ weightDecay: 2 }, "weightDecay must be a number in 0..1, got 2"],
    [{ clipNorm: 0 }, "clipNorm must be a number greater than 0, got 0"],
    [{ clipNorm: Number.NaN }, "clipNorm must be a number greater than 0, got NaN"],
    [{ name: "" }, "name must be a text of 1 to 100 characters in one line"],
    [{ name: "a\nb" }, "name must be a text of 1 to 100 characters in one line"],
    [{ name: "\u001b[2J" }, "name must be a text of 1 to 100 characters in one line"],
    [{ tags: ["x".repeat(101)] }, "tags must be a text of 1 to 100 characters in one line"],
    [{ tags: "paper" as never }, "tags must be a list of texts"],
  ])("%j", async (options, problem) => {
    await expect(grow({ ...QUICK, data: "spirals", ...options })).rejects.toThrow(problem);
  });
});
