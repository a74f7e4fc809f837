/** A model from an ONNX file through the whole life of a run, on the command line: the guarantees that built-in hosts have. */
import { readFileSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../src/base/index.js";
import { fixture } from "../src/engine/onnx/import/imported-models.fixture.js";
import { kasmina, type Running, start } from "./kasmina.js";
import { epochOf, hasEnded, tensorsDigest } from "./resume.fixture.js";

const WIDTH = 12;
const EPOCHS = 60;
const random = new Random(1);

/** Twelve measurements a row; the class is the quadrant of the first two. */
function table(rows: number): string {
  const header = [...Array.from({ length: WIDTH }, (_, i) => `x${i}`), "class"].join();
  const lines = Array.from({ length: rows }, () => {
    const row = Array.from({ length: WIDTH }, () => random.uniform() * 2 - 1);
    const [x = 0, y = 0] = row;
    return [...row.map((value) => value.toFixed(4)), `q${2 * Number(x > 0) + Number(y > 0)}`].join();
  });
  return `${[header, ...lines].join("\n")}\n`;
}

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-onnx-host-"));
  await writeFile(join(root, "model.onnx"), fixture("mlp-bn"));
  await writeFile(join(root, "rows.csv"), table(600));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** Seeds come and go on a schedule that no clock can change. */
const GROWN = [
  "--policy",
  "epoch:2",
  "--latency-budget",
  "600000",
  "--epochs",
  String(EPOCHS),
  "--lr",
  "0.01",
];

function begin(runDir: string, train: string): Running {
  const what = [
    "--host",
    "onnx:model.onnx",
    "--head",
    "new",
    "--train",
    train,
    "--data",
    "csv:rows.csv?label=class",
  ];
  return start(["grow", "--quiet", ...what, ...GROWN, "--threads", "1", "--run-dir", runDir], root);
}

async function untilEpoch(run: Running, runDir: string, epoch: number): Promise<void> {
  for (;;) {
    if (epochOf(join(root, runDir)) >= epoch || run.child.exitCode !== null) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe.each(["seeds", "all"])("with --train %s", (train) => {
  const whole = `whole-${train}`;

  test("it grows to its end", async () => {
    expect(await begin(whole, train).finished).toMatchObject({ code: 0 });
    const summary = JSON.parse(readFileSync(join(root, whole, "summary.json"), "utf8"));
    expect(summary).toMatchObject({ ended: "finished", host: expect.stringContaining("model.onnx") });
    expect(summary.seeds.length).toBeGreaterThan(0);
  });

  test("killed four times and resumed, it ends with the same bits", async () => {
    const runDir = `killed-${train}`;
    let run = begin(runDir, train);
    for (const epoch of [5, 20, 35, 50]) {
      await untilEpoch(run, runDir, epoch);
      run.child.kill("SIGKILL");
      await run.finished;
      // With and without memory for what the frozen part gives for each row, in turns.
      const memory = epoch % 10 === 0 ? [] : ["--feature-cache", "512"];
      run = start(["grow", "--quiet", "--resume", runDir, ...memory], root);
    }
    expect(await run.finished).toMatchObject({ code: 0 });
    expect(hasEnded(join(root, runDir))).toBe(true);
    expect(tensorsDigest(join(root, runDir))).toBe(tensorsDigest(join(root, whole)));
    const costs = [whole, runDir].map((of) =>
      JSON.parse(readFileSync(join(root, of, "summary.json"), "utf8")),
    );
    expect(costs[1].flops_total).toBe(costs[0].flops_total);
  });

  test("it replays to the same bits", async () => {
    expect(await kasmina(["replay", whole], root)).toMatchObject({ code: 0 });
  });

  test("an operator takes it back to memory and to a checkpoint, and it replays", async () => {
    const runDir = `rolled-${train}`;
    const run = begin(runDir, train);
    for (const [epoch, to] of [
      [10, "memory"],
      [25, "checkpoint"],
    ] as const) {
      await untilEpoch(run, runDir, epoch);
      const rollback = ["rollback", "--to", to, "--reason", "test", "--run-dir", runDir];
      expect(await kasmina(rollback, root)).toMatchObject({ code: 0 });
    }
    expect(await run.finished).toMatchObject({ code: 0 });
    const events = await readFile(join(root, runDir, "events.ndjson"), "utf8");
    expect(events.match(/"rollback_restored"/g)?.length).toBeGreaterThanOrEqual(2);
    expect(await kasmina(["replay", runDir], root)).toMatchObject({ code: 0 });
  });

  test("it is reported, inspected, and written back into the file", async () => {
    expect(await kasmina(["report", whole], root)).toMatchObject({ code: 0 });
    expect(await readFile(join(root, whole, "report.html"), "utf8")).toContain("onnx");
    const { stdout } = await kasmina(["inspect", whole, "--json"], root);
    expect(JSON.parse(stdout)).toMatchObject({ host: "onnx", checkpoint: { valid: true } });
    const out = join(root, `${whole}.onnx`);
    expect(await kasmina(["export", whole, "--onnx", out], root)).toMatchObject({ code: 0 });
    const session = await InferenceSession.create(out, { logSeverityLevel: 3 });
    const { logits } = await session.run({
      x: new Tensor("float32", new Float32Array(2 * WIDTH), [2, WIDTH]),
    });
    expect(logits?.dims).toEqual([2, 4]);
    await session.release();
  });
});

test("it teaches another run, and gives its seed to the catalog", async () => {
  const { seeds } = JSON.parse(readFileSync(join(root, "whole-seeds", "summary.json"), "utf8"));
  const kept = seeds.find(({ stage }: { stage: string }) => stage === "FOSSILIZED");
  expect(kept).toBeDefined();
  expect(await kasmina(["catalog", "harvest", "whole-seeds", kept.id], root)).toMatchObject({ code: 0 });
  expect(await kasmina(["catalog", "verify"], root)).toMatchObject({ code: 0 });
  const pupil = [
    "grow",
    "--quiet",
    "--data",
    "csv:rows.csv?label=class",
    "--teacher",
    "whole-seeds",
    "--epochs",
    "2",
  ];
  expect(await kasmina([...pupil, "--run-dir", "pupil"], root)).toMatchObject({ code: 0 });
});

test("a file that has changed is named, and nothing is lost", async () => {
  await writeFile(join(root, "model.onnx"), fixture("mlp-bn-opset17"));
  const refused = await kasmina(["replay", "whole-seeds"], root);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(/the file that it is in has changed/);
  await writeFile(join(root, "model.onnx"), fixture("mlp-bn"));
  expect(await kasmina(["inspect", "whole-seeds"], root)).toMatchObject({ code: 0 });
});
