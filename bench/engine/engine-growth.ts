/** Runs that grow on the native engine: how long training stood still at a graft, and the main thread at all. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { setFlagsFromString } from "node:v8";
import { KasminaError } from "kasmina/base";
import { growInWorker } from "kasmina/weatherlight";
import { type Figures, median } from "../measurement.js";
import type { StepGaps } from "./engine-growth-runner.js";

const RUNNER = new URL("./engine-growth-runner.js", import.meta.url).href;
const WATCH = new URL("./main-thread-watch.js", import.meta.url).href;
const CLI = new URL("../../../dist/cli/main.js", import.meta.url).pathname;
const RUNS = 5;

/** Of several runs each: one run's longest gap is at the mercy of whatever else the machine does. */
export async function measureGrowth(threads: number): Promise<Figures> {
  setFlagsFromString("--no-parallel-scavenge"); // as the command line runs
  // A program beside this process comes first: what this one has used up by then would be collected beside it.
  const mainThreadMs = await repeated(() => mainThreadGapMs(threads));
  const runs = await repeated(() => stepGaps(threads));
  return {
    graft_stall_steps: spread(runs.map(({ longestMs, medianMs }) => longestMs / medianMs)),
    graft_stall_ms: spread(runs.map(({ longestMs }) => longestMs)),
    growth_step_ms: spread(runs.map(({ medianMs }) => medianMs)),
    topologies: median(runs.map(({ topologies }) => topologies)),
    main_thread_gap_ms: spread(mainThreadMs),
  };
}

async function repeated<T>(measure: () => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  while (all.length < RUNS) all.push(await measure());
  return all;
}

/** The trainer runs in a worker, as under the command line. */
async function stepGaps(threads: number): Promise<StepGaps> {
  let gaps: StepGaps | undefined;
  const onLine = (line: { readonly type: string; readonly text?: string }): void => {
    if (line.type === "notice") gaps = JSON.parse(line.text ?? "") as StepGaps;
  };
  await growInWorker({ threads }, { onLine }, RUNNER);
  if (!gaps) throw new KasminaError("illegal_state", "the run reported no step times");
  return gaps;
}

/** Of a whole `kasmina grow`, from its start to its report. */
async function mainThreadGapMs(threads: number): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "kasmina-bench-"));
  const file = join(folder, "gap");
  const args = ["--import", WATCH, CLI, "grow", "--data", "mnist", "--engine", "native"];
  const options = ["--threads", String(threads), "--run-dir", join(folder, "run")];
  const env = { ...process.env, KASMINA_BENCH_GAP_FILE: file };
  try {
    await promisify(execFile)(process.execPath, [...args, ...options], { env });
    return Number(await readFile(file, "utf8"));
  } finally {
    await rm(folder, { recursive: true });
  }
}

function spread(values: readonly number[]): string {
  return `${round(median(values))} (${round(Math.min(...values))}–${round(Math.max(...values))})`;
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}
