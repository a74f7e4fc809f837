/** Starts the command line on a small run, kills it, and goes on with it: for tests of what a crash leaves behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const MAIN = new URL("../dist/cli/main.js", import.meta.url).pathname;

const DIE_WHILE_WRITING = new URL("./support/die-while-writing.mjs", import.meta.url).href;

type Environment = Readonly<Record<string, string>>;

interface RunOptions {
  /** Default: wasm. */
  readonly engine?: "wasm" | "native";
  /** Default: 8. */
  readonly epochs?: number;
  /** Further options of the command line. */
  readonly more?: readonly string[];
  /** Set in the process's environment. */
  readonly env?: Environment;
}

export function startRun(
  runDir: string,
  { engine = "wasm", epochs = 8, more = [], env }: RunOptions = {},
): ChildProcess {
  const what = ["--data", "spirals", "--policy", "epoch:2", "--epochs", String(epochs)];
  // No time-out that a busy machine could run into: whole runs are compared with each other.
  const patience = ["--latency-budget", "600000"];
  const how = ["--run-dir", runDir, "--engine", engine, "--threads", "1"];
  return start(["grow", "--quiet", ...how, ...what, ...patience, ...more], env);
}

export function resumeRun(runDir: string, env?: Environment): ChildProcess {
  return start(["grow", "--quiet", "--resume", runDir], env);
}

/** Does a run again from its journal; exits with 0 where it came out the same. */
export function replayRun(runDir: string): ChildProcess {
  return start(["replay", runDir]);
}

/** The environment of a process that kills itself at the nth moment within the writing of its checkpoints. */
export function dyingWhileWriting(nth: number): Environment {
  return { NODE_OPTIONS: `--import ${DIE_WHILE_WRITING}`, DIE_AT_MOMENT: String(nth) };
}

function start(args: readonly string[], env: Environment = {}): ChildProcess {
  return spawn(process.execPath, [MAIN, ...args], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, ...env },
  });
}

/** The exit code, or the signal that ended it, with what it said on stderr. */
export async function ended(
  child: ChildProcess,
): Promise<{ readonly code: number | string | null; readonly stderr: string }> {
  let stderr = "";
  child.stderr?.on("data", (chunk) => {
    stderr += String(chunk);
  });
  return new Promise((resolve) =>
    child.on("close", (code, signal) => resolve({ code: code ?? signal, stderr })),
  );
}

export function hasRun(runDir: string): boolean {
  return existsSync(join(runDir, "run.json"));
}

/** Whether the run came to its end: one that a signal interrupted goes on. */
export function hasEnded(runDir: string): boolean {
  const file = join(runDir, "summary.json");
  return existsSync(file) && JSON.parse(readFileSync(file, "utf8")).ended === "finished";
}

export function hasCheckpoint(runDir: string): boolean {
  return existsSync(join(runDir, "checkpoint", "checkpoint.json"));
}

/** The epoch of a run's checkpoint; 0 where there is none yet. */
export function epochOf(runDir: string): number {
  return hasCheckpoint(runDir) ? contentOf(runDir).meta.network.epoch : 0;
}

/** Digest of the parameters and optimizer state in a run's checkpoint. */
export function tensorsDigest(runDir: string): string {
  return contentOf(runDir).tensors.sha256;
}

interface Content {
  readonly meta: { readonly network: { readonly epoch: number } };
  readonly tensors: { readonly sha256: string };
}

function contentOf(runDir: string): Content {
  const text = readFileSync(join(runDir, "checkpoint", "checkpoint.json"), "utf8");
  return (JSON.parse(text) as { content: Content }).content;
}
