/** Hosts, blueprints and data of one's own through the whole life of a run, with the built package. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type * as RootModule from "../src/index.js";
import type * as WeatherlightModule from "../src/weatherlight/index.js";
import { kasmina } from "./kasmina.js";
import { tensorsDigest } from "./resume.fixture.js";

const dist = new URL("../dist/", import.meta.url);
const { grow, builtins } = (await import(new URL("index.js", dist).href)) as typeof RootModule;
const { inspectRun, readGrownNetwork, replayRun, reportOf } = (await import(
  new URL("weatherlight/index.js", dist).href
)) as typeof WeatherlightModule;
type Parts = {
  makeHost(options?: object): RootModule.Host;
  readonly host: RootModule.Host;
  readonly twoLinear: RootModule.Blueprint;
  quadrants(count: number): RootModule.DatasetArrays;
  readonly asked: Pick<RootModule.GrowOptions, "epochs" | "policy" | "engine" | "latencyBudget">;
};
const parts = new URL("./fixtures/own-parts.mjs", import.meta.url);
const { asked, host, makeHost, quadrants, twoLinear } = (await import(parts.href)) as Parts;
const script = new URL("./fixtures/grow-own.mjs", import.meta.url).pathname;
const data = quadrants(600);
const blueprints = [...builtins, twoLinear];

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-own-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** Grows in a process of its own, which is killed once it has told of `epoch`. */
async function growAndKill(runDir: string, epoch: number): Promise<void> {
  const child = spawn(process.execPath, [script, runDir], { stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface({ input: child.stdout }))
    if (Number(line) === epoch) child.kill("SIGKILL");
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  expect(child.signalCode).toBe("SIGKILL");
}

describe("a host, a blueprint and data in code", () => {
  let whole: RootModule.GrowResult;
  const wholeDir = (): string => join(root, "whole");
  beforeAll(async () => {
    whole = await grow({ ...asked, host, data, blueprints, runDir: wholeDir(), runId: "own" });
  });

  test("grow into a folder, of the own blueprint first", () => {
    expect(whole).toMatchObject({
      ended: "finished",
      host: "two-layers",
      data: "quadrants",
      runDir: wholeDir(),
    });
    expect(whole.seeds[0]).toMatchObject({ blueprint: "two-linear", slot: "features" });
  });

  test("killed and resumed, the run ends with the same bits, and replays", async () => {
    const cut = join(root, "cut");
    await growAndKill(cut, 4);
    const resumed = await grow({ resume: cut, host, data, blueprints });
    expect(tensorsDigest(cut)).toBe(tensorsDigest(wholeDir()));
    expect(resumed).toMatchObject({
      accuracy: whole.accuracy,
      seeds: whole.seeds,
      flopsTotal: whole.flopsTotal,
    });
    expect(await replayRun(cut, { host, data, blueprints })).toMatchObject({
      firstDifference: null,
      sameTensors: true,
    });
  });

  test("are needed again, the same, at resume", async () => {
    const cut = join(root, "refused");
    await growAndKill(cut, 1);
    const again = (given: object) => expect(grow({ resume: cut, host, data, blueprints, ...given })).rejects;
    await again({ host: undefined }).toThrow(/host two-layers of this run was given in code: give it again/);
    await again({ data: undefined }).toThrow(/data quadrants of this run was given in code: give it again/);
    await again({ blueprints: undefined }).toThrow(/blueprint two-linear of this run was given in code/);
    await again({ host: makeHost({ id: "other" }) }).toThrow("its id differs");
    await again({ host: makeHost({ width: 9 }) }).toThrow(
      "host two-layers is not what the run began with: its blocks",
    );
    await again({ host: makeHost({ scale: 2 }) }).toThrow("it computes something else");
    await again({ data: quadrants(700) }).toThrow("quadrants has changed since the run began");
    await again({ blueprints: [...builtins, { ...twoLinear, form: "replacement" }] }).toThrow(
      "blueprint two-linear",
    );
    await again({ epochs: 3 }).toThrow("a resumed run keeps its options; leave out epochs");
    await expect(grow({ resume: wholeDir(), host, data, blueprints })).rejects.toThrow("has ended");
    await expect(grow({ ...asked, data, runDir: wholeDir() })).rejects.toThrow("already holds a run");
  });

  test("are predicted with and exported, from the result and from the folder", async () => {
    const rows = [[0.5, 0.5], [0.5, -0.5], [-0.5, -0.5]]; // biome-ignore format: rows
    const file = join(root, "grown.onnx");
    const bytes = await whole.network.toOnnx(file);
    expect(new Uint8Array(await readFile(file))).toEqual(bytes);
    const session = await InferenceSession.create(bytes);
    const { logits } = await session.run({ input: new Tensor("float32", rows.flat(), [3, 2]) });
    const scores = logits?.data as Float32Array;
    const predicted = await whole.network.predict(rows);
    expect([...predicted.labels]).toEqual(
      [0, 1, 2].map((row) => Number((scores[2 * row + 1] ?? 0) > (scores[2 * row] ?? 0))),
    );
    for (const row of predicted.labels.keys())
      expect(
        (predicted.probabilities[2 * row] ?? 0) + (predicted.probabilities[2 * row + 1] ?? 0),
      ).toBeCloseTo(1, 5);
    const read = await readGrownNetwork(wholeDir(), { host, blueprints });
    expect(read.parameters).toEqual(whole.network.parameters);
    expect((await read.predict(rows)).labels).toEqual(predicted.labels);
    await expect(readGrownNetwork(wholeDir())).rejects.toThrow(
      "host two-layers of this run was given in code",
    );
    await expect(whole.network.predict([[1, 2, 3]])).rejects.toThrow("3 values are no rows of shape [2]");
    await expect(whole.network.predict([[1, Number.NaN]])).rejects.toThrow("value 1 is NaN");
  });

  test("are inspected and reported without the code, and named where it is needed", async () => {
    expect(await inspectRun(wholeDir())).toMatchObject({
      host: "two-layers",
      ended: "finished",
      checkpoint: { valid: true },
    });
    expect(await reportOf(wholeDir())).toContain("two-linear");
    expect(await kasmina(["export", wholeDir(), "--onnx", join(root, "x.onnx")], root)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("host two-layers of this run was given in code"),
    });
    expect(await kasmina(["replay", wholeDir()], root)).toMatchObject({ code: 2 });
  });
});

describe("a host and a blueprint in a module", () => {
  test("grow on the command line, are resumed, replayed and exported, and refused once they have changed", async () => {
    const module = join(root, "parts.mjs");
    // Beside the package, so that its name means this one.
    await writeFile(module, `export { host, twoLinear } from ${JSON.stringify(parts.href)};\n`);
    const what = [
      "--host",
      `module:${module}#host`,
      "--blueprint",
      `module:parts.mjs#twoLinear`,
      "--data",
      "spirals",
    ];
    const how = ["--epochs", "5", "--policy", "epoch:1", "--engine", "native", "--latency-budget", "600000"];
    const grown = await kasmina(["grow", "--json", "--run-dir", "run", ...what, ...how], root);
    expect(grown.code, grown.stderr).toBe(0);
    expect(grown.stderr).not.toContain("training thread");
    const summary = JSON.parse(grown.stdout.trimEnd().split("\n").at(-1) ?? "");
    expect(summary).toMatchObject({ host: `module:${module}#host`, seeds: [{ blueprint: "two-linear" }] });
    expect(JSON.parse(await readFile(join(root, "run", "run.json"), "utf8"))).toMatchObject({
      config: { host: `module:${module}#host`, blueprint: `module:${module}#twoLinear` },
      sources: {
        host: {
          from: "module",
          file: module,
          export: "host",
          file_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
        },
        blueprints: [{ id: "two-linear", from: "module", file: module }],
      },
    });
    const named = ["--host", `module:${module}#host`, "--blueprint", `module:${module}#twoLinear`];
    for (const command of [
      ["replay", "run"],
      ["export", "run", "--onnx", "net.onnx"],
    ]) {
      expect(await kasmina(command, root)).toMatchObject({
        code: 2,
        stderr: expect.stringContaining(`name it with --host module:${module}#host`),
      });
      expect(await kasmina([...command, ...named.slice(0, 2)], root)).toMatchObject({
        code: 2,
        stderr: expect.stringContaining(`name it with --blueprint module:${module}#twoLinear`),
      });
    }
    expect(await kasmina(["replay", join(root, "run"), ...named], tmpdir())).toMatchObject({ code: 0 });
    expect(await kasmina(["export", "run", "--onnx", "net.onnx", ...named], root)).toMatchObject({ code: 0 });
    await copyFile(module, join(root, "kept.mjs"));
    await writeFile(module, `${await readFile(module, "utf8")}// changed\n`);
    expect(await kasmina(["export", "run", "--onnx", "net.onnx", ...named], root)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(
        "host two-layers is not what the run began with: the file that it is in has changed",
      ),
    });
    await rm(module);
    expect(await kasmina(["replay", "run", ...named], root)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(`cannot load module:${module}#host`),
    });
  });

  test("is not run because a folder names it", async () => {
    const module = join(root, "foreign.mjs");
    const ran = join(root, "ran");
    await writeFile(
      module,
      `import { appendFileSync } from "node:fs";
       export { host } from ${JSON.stringify(parts.href)};
       appendFileSync(${JSON.stringify(ran)}, "ran\\n");\n`,
    );
    const host = ["--host", `module:${module}#host`];
    const grown = ["grow", "--quiet", "--data", "spirals", "--epochs", "2", ...host, "--run-dir", "foreign"];
    expect(await kasmina(grown, root)).toMatchObject({ code: 0 });
    await rm(join(root, "foreign", "summary.json"));
    await rm(ran);
    for (const command of [
      ["replay", "foreign"],
      ["export", "foreign", "--onnx", "foreign.onnx"],
      ["grow", "--quiet", "--resume", "foreign", "--adopt"],
      ["grow", "--quiet", "--data", "spirals", "--epochs", "1", "--teacher", "foreign"],
      ["inspect", "foreign"],
      ["report", "foreign"],
    ])
      await kasmina(command, root);
    expect(existsSync(ran)).toBe(false);
    expect(await kasmina(["export", "foreign", "--onnx", "foreign.onnx", ...host], root)).toMatchObject({
      code: 0,
    });
    expect(existsSync(ran)).toBe(true);
  });

  test.each([
    ["module:nowhere.mjs#host", "cannot load module:nowhere.mjs#host"],
    ["module:parts.mjs", "must be module:<file>#<export>"],
    [`module:${parts.pathname}#asked`, "is not a host"],
    [`module:${parts.pathname}#nothing`, "it exports no nothing"],
  ])("%s is one clear error", async (name, message) => {
    await expect(grow({ data: "spirals", host: name, engine: "wasm" })).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining(message),
    });
  });
});
