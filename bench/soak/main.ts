/**
 * `npm run soak -- [--epochs 100] [--seed 1] [--engine native] [--run-dir <path>] [--flood 5000]
 * [--audience stays|leaves|full-disk] [--json]`: a long run under injected
 * faults, in a process that is killed and resumed, with a summary. Exits with 1 where an invariant does not hold.
 */
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { parseArgs } from "node:util";
import { Random } from "kasmina/base";
import { type AnyLine, AUDIENCES, type SoakOptions, type SoakStart } from "./lines.js";
import { stepsPerEpoch } from "./measures.js";
import { makePlan, type SoakPlan } from "./plan.js";
import { figuresOf, textOf } from "./report.js";
import { Tally } from "./tally.js";

const TRAINER = new URL("./trainer.js", import.meta.url).pathname;

/**
 * What is freed is to go back to the system at once, so that resident memory shows what is held: a small young generation
 * for V8, and no hoarding of pages by glibc (without: readings vary by a tenth from epoch to epoch).
 */
const NODE_FLAGS = ["--expose-gc", "--max-semi-space-size=2"];
const GIVE_BACK = {
  MALLOC_ARENA_MAX: "1",
  MALLOC_MMAP_THRESHOLD_: "16384",
  MALLOC_TRIM_THRESHOLD_: "16384",
  MALLOC_TOP_PAD_: "0",
};

/** What is still to be done to the process and its files, in the order of steps. */
interface Pending {
  readonly kills: number[];
  readonly damages: number[];
}

/** Starts a process that trains before its audience; what it measures comes on descriptor 3. */
function startTrainer(start: SoakStart) {
  const output = start.audience === "full-disk" ? openSync("/dev/full", "w") : "pipe";
  const errors = start.audience === "stays" ? "inherit" : output;
  const child = spawn(process.execPath, [...NODE_FLAGS, TRAINER, JSON.stringify(start)], {
    stdio: ["ignore", output, errors, "pipe"],
    env: { ...process.env, ...GIVE_BACK },
  });
  if (typeof output === "number") closeSync(output);
  child.stdout?.resume();
  return { child, measures: child.stdio[3] as Readable };
}

/** Runs one process until it ends or is killed; returns whether it was killed. */
async function live(start: SoakStart, pending: Pending, tally: Tally): Promise<boolean> {
  const { child, measures } = startTrainer(start);
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.on("close", (code, signal) => resolve({ code, signal })),
  );
  for await (const text of createInterface({ input: measures })) {
    const line = parsed(text);
    if (!line) continue;
    tally.add(line);
    if (line.type !== "step") continue;
    if (start.audience === "leaves") {
      child.stdout?.destroy();
      child.stderr?.destroy();
    }
    if (isDue(pending.damages, line.step))
      tally.damages += await damage(start.runDir, start.seed + line.step);
    if (isDue(pending.kills, line.step)) {
      tally.kills++;
      tally.killedAt.push(line.step);
      child.kill("SIGKILL");
    }
  }
  const { code, signal } = await ended;
  if (signal === "SIGKILL") return true;
  if (code !== 0) process.exitCode = 1;
  return false;
}

/** A line that a kill cut short is none. */
function parsed(text: string): AnyLine | undefined {
  try {
    return JSON.parse(text) as AnyLine;
  } catch {
    return undefined;
  }
}

/** Takes the next step off the list, where it has come. */
function isDue(steps: number[], step: number): boolean {
  if (step < (steps[0] ?? Number.POSITIVE_INFINITY)) return false;
  steps.shift();
  return true;
}

/** Damages the last checkpoint: one byte of it, or all but its beginning. Returns how many files it damaged. */
async function damage(runDir: string, seed: number): Promise<number> {
  const random = new Random(seed);
  const folder = join(runDir, "checkpoint");
  const path = join(
    folder,
    await newestOf(folder, random.uniform() < 0.5 ? "checkpoint.json" : ".safetensors"),
  );
  const bytes = await readFile(path).catch(() => undefined);
  if (!bytes || bytes.length === 0) return 0;
  if (random.uniform() < 0.5) {
    const at = random.below(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await writeFile(path, bytes);
  } else await writeFile(path, bytes.subarray(0, random.below(bytes.length)));
  return 1;
}

async function newestOf(folder: string, ending: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(ending));
  const dated = await Promise.all(
    names.map(async (name) => ({
      name,
      atMs: (await stat(join(folder, name)).catch(() => undefined))?.mtimeMs ?? 0,
    })),
  );
  return dated.sort((a, b) => b.atMs - a.atMs)[0]?.name ?? "none";
}

async function soak(options: SoakOptions, runDir: string): Promise<Tally> {
  const { epochs, seed } = options;
  const plan: SoakPlan = makePlan({ seed, epochs, stepsPerEpoch });
  const pending = { kills: [...plan.kills], damages: [...plan.damages] };
  const tally = new Tally();
  for (let resume = false; await live({ ...options, runDir, resume }, pending, tally); ) resume = true;
  return tally;
}

const { values } = parseArgs({
  options: {
    epochs: { type: "string", default: "100" },
    seed: { type: "string", default: "1" },
    engine: { type: "string", default: "native" },
    "run-dir": { type: "string" },
    flood: { type: "string", default: "0" },
    audience: { type: "string", default: "stays" },
    json: { type: "boolean", default: false },
  },
});
const audience = AUDIENCES.find((name) => name === values.audience);
if (!audience) throw new Error(`--audience is one of ${AUDIENCES.join(", ")}, not ${values.audience}`);
const options: SoakOptions = {
  epochs: Number(values.epochs),
  seed: Number(values.seed),
  engine: values.engine === "wasm" ? "wasm" : "native",
  flood: Number(values.flood),
  audience,
};
const root = await mkdtemp(join(tmpdir(), "kasmina-soak-"));
const startMs = performance.now();
const tally = await soak(options, values["run-dir"] ?? join(root, "run"));
await rm(root, { recursive: true, force: true });
const figures = figuresOf(tally, options, (performance.now() - startMs) / 1_000);
const problems = tally.problems(options);
if (values.json) console.log(JSON.stringify({ ...figures, problems }));
else {
  process.stdout.write(textOf(figures));
  console.log(problems.length === 0 ? "every invariant holds" : `does not hold:\n  ${problems.join("\n  ")}`);
}
if (problems.length > 0) process.exitCode = 1;
