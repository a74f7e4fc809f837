/** A run that goes on from the network of another: the same network, to the last bit, and then a run like any other. */
import { createHash } from "node:crypto";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { GrowOptions } from "../src/weatherlight/index.js";

/** The built one: kernels have a thread of their own. */
const { grow, inspectRun, readGrownNetwork, replayRun, reportOf } = (await import(
  new URL("../dist/weatherlight/index.js", import.meta.url).href
)) as typeof import("../src/weatherlight/index.js");
const { readCheckpoint } = (await import(
  new URL("../dist/weatherlight/folder/checkpoint.js", import.meta.url).href
)) as typeof import("../src/weatherlight/folder/checkpoint.js");

const OPTIONS = { engine: "wasm", epochs: 2, policy: "epoch:1", latencyBudget: 600_000 } as const;

let root: string;
let parent: string;
const place = (name: string): string => join(root, name);
const tensorsOf = async (folder: string) => (await readCheckpoint(join(folder, "checkpoint"))).tensors;
const digestOf = async (folder: string) => (await readCheckpoint(join(folder, "checkpoint"))).sha256;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-growing-on-"));
  parent = place("parent");
  const { seeds } = await grow({
    ...OPTIONS,
    data: "spirals",
    epochs: 12,
    policy: "epoch:2",
    runDir: parent,
  });
  expect(seeds.map(({ stage }) => stage)).toEqual(["FOSSILIZED"]);
});
afterAll(() => rm(root, { recursive: true }));

/** A child that was stopped after so many steps. */
async function stoppedAfter(steps: number, name: string, more: GrowOptions = {}) {
  const stop = new AbortController();
  if (steps === 0) stop.abort();
  const onStep = ({ step }: { readonly step: number }): void => {
    if (step >= steps) stop.abort();
  };
  const runDir = place(name);
  const ends = { signal: stop.signal, onStep, reportEverySteps: 1 };
  const { ended } = await grow({ ...OPTIONS, from: parent, ...more, ...ends, runDir });
  expect(ended).toBe("interrupted");
  return runDir;
}

/** What the network in a folder says of some rows, to the last bit. */
async function saysOf(folder: string): Promise<Float32Array> {
  const rows = Float32Array.from({ length: 200 }, (_, i) => Math.sin(i));
  return (await (await readGrownNetwork(folder)).predict(rows)).probabilities;
}

describe("the network that a run goes on from", () => {
  test("computes what it did, to the last bit, and so does that of a grandchild", async () => {
    const child = await stoppedAfter(0, "first-step");
    expect(await saysOf(child)).toEqual(await saysOf(parent));
    const { seeds } = await grow({ ...OPTIONS, from: parent, runDir: place("child") });
    expect(seeds.map(({ id }) => id)).toEqual(["inherited-1", "seed-1"]);
    const grandchild = await stoppedAfter(0, "grandchild", { from: place("child") });
    expect((await inspectRun(grandchild)).seeds[0]).toMatchObject({ id: "inherited-1", stage: "FOSSILIZED" });
    const blended = seeds.filter(({ alpha }) => alpha > 0).length;
    expect((await inspectRun(grandchild)).seeds).toHaveLength(blended);
    expect(await saysOf(grandchild)).toEqual(await saysOf(place("child")));
  });

  test("begins with fresh optimizer state, or with its own, which must fit", async () => {
    const before = await tensorsOf(parent);
    const nonZero = async (folder: string) =>
      Object.entries(await tensorsOf(folder)).filter(
        ([path, { data }]) => path.startsWith("optimizer/") && data.some((value) => value !== 0),
      );
    expect(await nonZero(await stoppedAfter(0, "fresh"))).toEqual([]);
    const kept = await nonZero(await stoppedAfter(0, "kept", { keepOptimizer: true }));
    expect(kept.length).toBeGreaterThan(10);
    for (const [path, tensor] of kept) expect(tensor).toEqual(before[path.replace("inherited-1", "seed-1")]);
    await expect(
      grow({ ...OPTIONS, from: parent, keepOptimizer: true, optimizer: "sgd", runDir: place("sgd") }),
    ).rejects.toThrow(/keepOptimizer: .* does not fit: .* is missing; take the same optimizer/);
  });

  test("is named in every file of the run that descends from it", async () => {
    const sha256 = await digestOf(parent);
    const { run_id: runId } = JSON.parse(await readFile(join(parent, "run.json"), "utf8"));
    const child = place("named");
    const result = await grow({ ...OPTIONS, from: parent, epochs: 1, growth: false, runDir: child });
    expect(result.parent).toBe(sha256);
    expect(result.network.metadata.parent).toBe(sha256);
    const json = async (name: string) => JSON.parse(await readFile(join(child, name), "utf8"));
    expect(await json("run.json")).toMatchObject({ parent: sha256, parent_run_id: runId });
    expect(await json("summary.json")).toMatchObject({ parent: sha256 });
    expect((await readCheckpoint(join(child, "checkpoint"))).meta.parent).toBe(sha256);
    expect((await readGrownNetwork(child)).metadata.parent).toBe(sha256);
    expect(await inspectRun(child)).toMatchObject({ parent: sha256, parent_run_id: runId });
    expect(await inspectRun(parent)).toMatchObject({ parent: null, parent_run_id: null });
    expect(await reportOf(child)).toContain(`goes on from ${parent}`);
  });
});

describe("a run that goes on from another", () => {
  test("needs it no more once it has begun: cut and resumed it ends as one that was not, and replays bit for bit", async () => {
    const source = place("gone");
    await cp(parent, source, { recursive: true });
    const whole = place("whole");
    const scheduled = { from: source, schedule: "cosine", warmup: "10%" } as const;
    await grow({ ...OPTIONS, ...scheduled, runDir: whole });
    const cuts = [await stoppedAfter(0, "cut-0", scheduled), await stoppedAfter(30, "cut-30", scheduled)];
    // As one that died before its first checkpoint.
    await rm(join(cuts[0] ?? "", "checkpoint"), { recursive: true });
    await rm(source, { recursive: true });
    for (const cut of cuts) {
      expect((await grow({ resume: cut })).ended).toBe("finished");
      expect(await tensorsOf(cut)).toEqual(await tensorsOf(whole));
      expect(await replayRun(cut)).toMatchObject({ firstDifference: null, sameTensors: true });
    }
  });

  test.each([
    [
      "is gone",
      (folder: string) => rm(join(folder, "parent"), { recursive: true }),
      /parent, is gone or has changed/,
    ],
    [
      "is another's",
      async (folder: string) => {
        await rm(join(folder, "parent"), { recursive: true });
        await cp(join(folder, "checkpoint"), join(folder, "parent"), { recursive: true });
      },
      /has changed: it is [0-9a-f]{12}, not [0-9a-f]{12}/,
    ],
    [
      "is damaged",
      async (folder: string) => {
        const path = join(folder, "parent", "checkpoint.json");
        await writeFile(path, (await readFile(path, "utf8")).replace('"step":', '"steps":'));
      },
      /parent, is gone or has changed/,
    ],
  ])("is not replayed where the network that it began with %s", async (what, change, message) => {
    const folder = await stoppedAfter(3, `changed, ${what}`);
    await change(folder);
    await expect(replayRun(folder)).rejects.toThrow(message);
  });

  test.each([
    [{ from: "/nowhere" }, "/nowhere holds no run"],
    [
      { data: "mnist" },
      /from run .* does not fit: its host\/stem\/w is \[16,2\], that of resmlp for these data/,
    ],
    [{ host: "resconv" }, /resconv|does not fit/],
    [
      { blueprints: ["low-rank"] },
      /does not fit: blueprint mlp-residual of inherited-1 is not among those of this run/,
    ],
    [{ keepOptimizer: "yes" }, "keepOptimizer must be true or false"],
    [{ from: undefined, data: "spirals", keepOptimizer: true }, "keepOptimizer needs from"],
    [{ from: "m.onnx", data: "spirals", head: "new" }, "head has no place beside from m.onnx"],
  ])("says what does not fit: %j", async (more, message) => {
    const options = { ...OPTIONS, from: parent, ...more } as GrowOptions;
    await expect(grow(options)).rejects.toThrow(message);
  });

  test("counts what it began with as its host, and a budget as what it adds itself, cut or not", async () => {
    const before = await inspectRun(parent);
    const decided: string[] = [];
    const limited = { budgetParams: before.params_total, budgetFlops: "100%", policy: "epoch:1" } as const;
    const onDecision = ({ action }: { readonly action: string }): void => void decided.push(action);
    const runDir = await stoppedAfter(1, "limited", { ...limited, blueprints: ["mlp-residual", "low-rank"] });
    const { seeds, paramsHost } = await grow({ resume: runDir, onDecision });
    expect(decided).toContain("germinate");
    expect(paramsHost).toBe(before.params_total);
    expect(await inspectRun(runDir)).toMatchObject({ params_host: before.params_total });
    expect(seeds.map(({ inherited }) => inherited)).toEqual([true, undefined]);
    const refused: string[] = [];
    await grow({
      ...{ ...OPTIONS, from: parent, budgetParams: 0 },
      onDecision: ({ action }) => void refused.push(action),
    });
    expect(refused).toEqual([]);
  });

  test("reads no data because a folder that nobody here vouches for names them", async () => {
    const [source, table] = [place("foreign"), place("table.csv")];
    const rows = Array.from({ length: 80 }, (_, i) => `${i},${i % 2}`);
    await writeFile(table, ["x,kind", ...rows].join("\n"));
    const data = `csv:${table}?label=kind`;
    await grow({ ...OPTIONS, data, growth: false, runDir: source });
    await grow({ ...OPTIONS, from: source, growth: false });
    await rm(join(source, "control.keys"));
    await expect(grow({ ...OPTIONS, from: source, growth: false })).rejects.toThrow(
      /name its data with --data/,
    );
    expect((await grow({ ...OPTIONS, from: source, data, growth: false })).ended).toBe("finished");
  });

  test("grows a whole block of the host's kind at once, where nothing else is asked for", async () => {
    const decided: [step: number, what: string][] = [];
    await grow({
      ...{ engine: "wasm", epochs: 2, latencyBudget: 600_000, from: parent },
      onDecision: (decision, { step }) =>
        void decided.push([step, decision.action === "germinate" ? decision.blueprintId : decision.action]),
    });
    expect(decided[0]).toEqual([20, "host-block"]);
  });

  test("may go on from an ONNX file, which is its host, all of it learning", async () => {
    const file = place("parent.onnx");
    const sha256 = createHash("sha256")
      .update(await (await readGrownNetwork(parent)).toOnnx(file))
      .digest("hex");
    const runDir = place("of-file");
    const result = await grow({ ...OPTIONS, engine: "native", from: file, data: "spirals", runDir });
    expect(result.parent).toBe(sha256);
    expect(result.host).toBe(`onnx:${file}?head=keep&train=all`);
    expect(result.accuracy).toBeGreaterThan(0.7);
    expect(await inspectRun(runDir)).toMatchObject({ parent: sha256, parent_run_id: null });
    expect(await replayRun(runDir)).toMatchObject({ firstDifference: null, sameTensors: true });
  });
});
