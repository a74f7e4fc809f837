/** Starts the command line on a small run, kills it, and goes on with it: for tests of what a crash leaves behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const MAIN = new URL("../dist/cli/main.js", import.meta.url).pathname;

export function startRun(
  runDir: string,
  engine: "wasm" | "native" = "wasm",
  epochs = 8,
  ...more: readonly string[]
): ChildProcess {
  const what = ["--data", "spirals", "--policy", "epoch:2", "--epochs", String(epochs)];
  // No time-out that a busy machine could run into: whole runs are compared with each other.
  const patience = ["--latency-budget", "600000"];
  return start("--run-dir", runDir, "--engine", engine, "--threads", "1", ...what, ...patience, ...more);
}

export function resumeRun(runDir: string): ChildProcess {
  return start("--resume", runDir);
}

/** Does a run again from its journal; exits with 0 where it came out the same. */
export function replayRun(runDir: string): ChildProcess {
  return spawn(process.execPath, [MAIN, "replay", runDir], { stdio: ["ignore", "ignore", "pipe"] });
}

function start(...args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [MAIN, "grow", "--quiet", ...args], { stdio: ["ignore", "ignore", "pipe"] });
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

/** Whether the run came to its end, whatever became of its process. */
export function hasEnded(runDir: string): boolean {
  return existsSync(join(runDir, "summary.json"));
}

export function hasCheckpoint(runDir: string): boolean {
  return existsSync(join(runDir, "checkpoint", "checkpoint.json"));
}

/** Digest of the parameters and optimizer state in a run's checkpoint. */
export function tensorsDigest(runDir: string): string {
  const text = readFileSync(join(runDir, "checkpoint", "checkpoint.json"), "utf8");
  const { content } = JSON.parse(text) as { content: { tensors: { sha256: string } } };
  return content.tensors.sha256;
}
