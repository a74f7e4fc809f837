/** `kasmina grow --log`: what TensorBoard and MLflow get of a run, and that the run does not feel it, whatever becomes of them. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findTool } from "../src/base/tools.fixture.js";
import { MlflowStub } from "../src/weatherlight/telemetry/log/mlflow-stub.fixture.js";
import { kasmina } from "./kasmina.js";
import { ended, hasCheckpoint, startRun, tensorsDigest } from "./resume.fixture.js";

const READER = new URL("../src/weatherlight/telemetry/log/read-events.fixture.py", import.meta.url).pathname;
const python = findTool("python", ["python3"]);
const EPOCHS = 12;

/** [step, value] in the order of logging, by tag. */
type Curves = Map<string, (readonly [step: number, value: number])[]>;

let root: string;
const stub = new MlflowStub();
let server = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-log-"));
  server = await stub.listen();
});
afterAll(async () => {
  await stub.close();
  await rm(root, { recursive: true });
});

/** What a run comes to: its weights, and its events without what a clock measured. */
async function run(name: string, more: readonly string[]) {
  const folder = join(root, name);
  const { code, stderr } = await ended(startRun(folder, { engine: "native", epochs: EPOCHS, more }));
  expect(code).toBe(0);
  return { folder, stderr, ...resultOf(folder) };
}

function resultOf(folder: string) {
  const { run_id } = JSON.parse(readFileSync(join(folder, "run.json"), "utf8")) as { run_id: string };
  const lines = readFileSync(join(folder, "events.ndjson"), "utf8").replaceAll(run_id, "<run>").split("\n");
  const timeless = lines
    // When a kernel comes, and how fast it is, are facts of the machine.
    .filter((line) => !line.includes('"name":"prefetch_'))
    .map((line) => line.replace(/"(\w+_ms|wall_s|steps_per_s|resident_bytes)":[\d.e-]+/g, '"$1":0'));
  return { run_id, tensors: tensorsDigest(folder), events: timeless.join("\n") };
}

function add(curves: Curves, tag: string, step: number, value: number): void {
  curves.set(tag, [...(curves.get(tag) ?? []), [step, value]]);
}

/** As TensorBoard has them: a file that begins at a step does away with what earlier ones hold from there on. */
function curvesOf(folder: string): Curves {
  const curves: Curves = new Map();
  const files = readdirSync(folder).filter((name) => name.includes("tfevents"));
  const events = files.sort().flatMap((name) => {
    const lines = execFileSync(python ?? "", [READER, join(folder, name)], { encoding: "utf8" });
    return lines
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  });
  for (const { step: now, session_log, summary = [] } of events) {
    if (session_log)
      for (const [tag, curve] of curves)
        curves.set(
          tag,
          curve.filter(([step]) => step < now),
        );
    for (const { tag, simple_value } of summary)
      if (simple_value !== undefined) add(curves, tag, now, simple_value);
  }
  return curves;
}

function mlflowCurves(runId: string): Curves {
  const curves: Curves = new Map();
  const run = stub.runs.find(({ name }) => name === runId);
  for (const { key, step, value } of run?.metrics ?? []) add(curves, key, step, Math.fround(Number(value)));
  return curves;
}

let plain: Awaited<ReturnType<typeof run>>;
let logged: Awaited<ReturnType<typeof run>>;
beforeAll(async () => {
  plain = await run("plain", []);
  logged = await run("logged", ["--log", "tensorboard", "--log", `mlflow:${server}`]);
});

test("a run is the same to the last bit, whether it is logged or not", () => {
  expect(logged.tensors).toBe(plain.tensors);
  expect(logged.events).toBe(plain.events);
  expect(logged.stderr).toBe("");
});

test.skipIf(!python)("both have the same curves, with the values of the run's own record", () => {
  const curves = curvesOf(logged.folder);
  expect(mlflowCurves(logged.run_id)).toEqual(curves);
  const lines = logged.events
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const observed = lines.filter(({ type }) => type === "observation");
  expect(curves.get("loss/held_out")).toEqual(
    observed.map(({ step, val_loss }) => [step, Math.fround(Number(val_loss))]),
  );
  const alphas = lines.filter(({ type }) => type === "alpha");
  expect(curves.get("alpha/seed-1")).toEqual(
    alphas.map(({ step, alpha }) => [step, Math.fround(Number(alpha))]),
  );
  expect(curves.get("loss/train")?.length).toBeGreaterThan(20);
  expect(stub.runs.at(-1)).toMatchObject({ name: logged.run_id, status: "FINISHED" });
  expect(stub.runs.at(-1)?.params.get("data")).toBe("spirals");
  expect(stub.refused).toEqual(["RESOURCE_DOES_NOT_EXIST: no such experiment"]);
});

test.each([
  ["is not there", "http://127.0.0.1:9", "cannot reach http://127.0.0.1:9: .*"],
  ["never answers", "", "no answer within (5|10) s"],
  ["answers with errors", "", ".* with HTTP 500"],
])("a server that %s costs the run nothing, and is spoken of once", async (how, url, problem) => {
  stub.instead = (_, response) => {
    if (how === "never answers") return;
    response.writeHead(500);
    response.end();
  };
  const { tensors, events, stderr } = await run(how, ["--log", `mlflow:${url || server}`]);
  stub.instead = undefined;
  expect(tensors).toBe(plain.tensors);
  expect(events).toBe(plain.events);
  expect(stderr).toMatch(
    new RegExp(
      `^kasmina: mlflow: ${problem}; the run goes on, and this is tried again\nkasmina: mlflow: \\d+ points were lost\n$`,
    ),
  );
});

test.skipIf(!python)("a run that is stopped and resumed has the curves of one that was not", async () => {
  const folder = join(root, "resumed");
  const logs = ["--log", "tensorboard", "--log", `mlflow:${server}`];
  const child = startRun(folder, {
    engine: "native",
    epochs: EPOCHS,
    more: [...logs, "--checkpoint-every", "20steps"],
  });
  const first = ended(child);
  while (!hasCheckpoint(folder) && child.exitCode === null)
    await new Promise((resolve) => setTimeout(resolve, 20));
  child.kill("SIGINT");
  expect((await first).code).toBe(130);
  const { run_id } = resultOf(folder);
  expect(stub.runs.at(-1)).toMatchObject({ name: run_id, status: "KILLED" });
  expect(await kasmina(["grow", "--quiet", "--resume", folder, ...logs], root)).toMatchObject({ code: 0 });
  expect(tensorsDigest(folder)).toBe(plain.tensors);
  const ofTheRun = (curves: Curves) => [...curves].filter(([tag]) => !tag.startsWith("machine/"));
  expect(ofTheRun(curvesOf(folder))).toEqual(ofTheRun(curvesOf(logged.folder)));
  expect(stub.runs.filter(({ name }) => name === run_id)).toMatchObject([{ status: "FINISHED" }]);
});
