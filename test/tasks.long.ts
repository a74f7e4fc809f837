/** Where growth helps a regression and where it does not, on each engine's own terms: kept and culled by the held-out squared error. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { numpy as np } from "@jax-js/jax";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type * as RootModule from "../src/index.js";
import type { RegressionMetrics } from "../src/network/index.js";
import type * as NnModule from "../src/nn/index.js";
import { kasmina } from "./kasmina.js";

const dist = new URL("../dist/", import.meta.url);
const { grow, defineBlock, defineHost } = (await import(new URL("index.js", dist).href)) as typeof RootModule;
const { lecunNormal, zeros } = (await import(new URL("nn/index.js", dist).href)) as typeof NnModule;

/** Uniform numbers, 0 to 1, always the same. */
function uniforms(count: number): number[] {
  let state = 1;
  return Array.from({ length: count }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  });
}

const WIDTH = 4;
const values = uniforms(3_000 * WIDTH);
const INPUTS = Array.from({ length: 3_000 }, (_, row) => values.slice(row * WIDTH, (row + 1) * WIDTH));
const linear = ([a = 0, b = 0, c = 0]: readonly number[]): number =>
  50_000 + 3_000 * a - 2_000 * b + 1_000 * c;
const kinked = (row: readonly number[]): number =>
  linear(row) + 8_000 * Math.max(0, (row[2] ?? 0) - 0.5) * Math.sign((row[3] ?? 0) - 0.5);

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-regression-"));
});
afterAll(() => rm(root, { recursive: true }));

describe("a host that is a line", () => {
  const layer = (name: string, from: number, to: number, slot: boolean) =>
    defineBlock({
      name,
      parameters: { w: { shape: [to, from], init: lecunNormal }, b: { shape: [to], init: zeros } },
      outputShape: [to],
      slot,
      apply: ({ w, b }, x) => np.dot(x, np.transpose(w)).add(b),
    });
  const host = defineHost({
    id: "line",
    inputShape: [WIDTH],
    classes: 1,
    blocks: [layer("stem", WIDTH, 8, true), layer("head", 8, 1, false)],
  });
  const grown = (of: (row: readonly number[]) => number) =>
    grow({
      task: "regression",
      host,
      data: { train: { inputs: INPUTS, labels: INPUTS.map(of) }, classNames: ["y"] },
      engine: "wasm",
      epochs: 24,
      lr: 0.01,
    });

  test("keeps no seed where the data are a line, and tells them all but exactly", async () => {
    const { seeds, metrics } = await grown(linear);
    expect(seeds.length).toBeGreaterThan(0);
    expect(seeds.map(({ stage }) => stage)).not.toContain("FOSSILIZED");
    expect((metrics as RegressionMetrics).r2).toBeGreaterThan(0.9999);
  });

  test("keeps one where the line has a kink, and is better by far", async () => {
    const { seeds, metrics } = await grown(kinked);
    const kept = seeds.filter(({ stage }) => stage === "FOSSILIZED");
    expect(kept.length).toBeGreaterThan(0);
    for (const { contribution } of kept) expect(contribution).toBeGreaterThan(0.05);
    // A line tells no more than about 0.6 of it.
    expect((metrics as RegressionMetrics).r2).toBeGreaterThan(0.85);
  });
});

test("a regression that is stopped and resumed ends with the same bits", async () => {
  const data = { train: { inputs: INPUTS.slice(0, 800), labels: INPUTS.slice(0, 800).map(kinked) } };
  const asked = { task: "regression", data, engine: "wasm", epochs: 8, lr: 0.01, policy: "epoch:1" } as const;
  const whole = await grow({ ...asked, runDir: join(root, "whole") });
  const stop = new AbortController();
  const runDir = join(root, "cut");
  const cut = await grow({
    ...asked,
    runDir,
    signal: stop.signal,
    onStep: ({ step }) => step > 60 && stop.abort(),
  });
  expect(cut).toMatchObject({ ended: "interrupted", metrics: null });
  const resumed = await grow({ resume: runDir, data });
  expect(resumed.metrics).toEqual(whole.metrics);
  expect(resumed.network.parameters).toEqual(whole.network.parameters);
});

describe.each([
  ["regression", "target=y", { val_r2: expect.any(Number) }],
  ["multilabel", "labels=high,right", { val_micro_f1: expect.any(Number) }],
] as const)("a grown %s", (task, option, score) => {
  test("is replayed to the last bit, reported and compared", async () => {
    const lines = INPUTS.slice(0, 600).map((row) =>
      [...row, kinked(row), Number(kinked(row) > 51_000), Number((row[0] ?? 0) > 0.5)].join(","),
    );
    await writeFile(join(root, "rows.csv"), ["a,b,c,d,y,high,right", ...lines].join("\n"));
    const drop = task === "regression" ? "high,right" : "y";
    const asked = ["--data", `csv:rows.csv?${option}&drop=${drop}`, "--engine", "wasm", "--epochs", "6"];
    const options = [
      ...asked,
      "--lr",
      "0.01",
      "--policy",
      "epoch:1",
      "--quiet",
      "--checkpoint-every",
      "10steps",
    ];
    const whole = await kasmina(["grow", ...options, "--run-dir", `${task}-whole`, "--compare"], root);
    expect(whole.code, whole.stderr).toBe(0);
    const replay = await kasmina(["replay", `${task}-whole`], root);
    expect([replay.code, replay.stdout]).toEqual([0, expect.stringContaining("the same to the last bit")]);
    const summary = JSON.parse(await readFile(join(root, `${task}-whole`, "summary.json"), "utf8"));
    expect(summary).toMatchObject({ task, accuracy: null, accuracy_host_alone: null });
    expect(summary.metrics_host_alone).toEqual(expect.any(Object));
    const events = (await readFile(join(root, `${task}-whole`, "events.ndjson"), "utf8")).trim().split("\n");
    const seen = events.map((line) => JSON.parse(line)).filter(({ type }) => type === "observation");
    expect(seen.at(-1)).toMatchObject({ val_accuracy: null, ...score });
    const report = await kasmina(["report", `${task}-whole`], root);
    expect(report.code, report.stderr).toBe(0);
    const page = await readFile(join(root, `${task}-whole`, "report.html"), "utf8");
    expect(page).toContain(task === "regression" ? "test R²" : "test micro F1");
    expect(page).toContain(task === "regression" ? "RMSE, test" : "mean average precision");
    const compared = await kasmina(["compare", `${task}-whole`, `${task}-whole`], root);
    expect(compared.stdout).toMatch(
      task === "regression" ? /test score +R² 0\.\d{4}/ : /test score +micro F1 \d/,
    );
  });
});
