/** Runs from the command line that are ended in one way or another. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { kasmina } from "./kasmina.js";

export const MAIN = new URL("../dist/cli/main.js", import.meta.url).pathname;
/** A short run on the native engine. */
export const NATIVE = "grow --data spirals --engine native --threads 1 --epochs 1 --policy epoch:1".split(
  " ",
);
export const WASM = ["--data", "spirals", "--engine", "wasm", "--no-growth"];

export interface Run {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
}

/** A run in `folder`, once it has done a step and listens; its output is of no interest, unless it is given a place. */
export async function begin(
  root: string,
  folder: string,
  more: readonly string[],
  output: "ignore" | "pipe" = "ignore",
  env = {},
): Promise<Run> {
  const child = spawn(process.execPath, [MAIN, "grow", ...WASM, "--run-dir", folder, ...more], {
    cwd: root,
    stdio: ["ignore", output, output],
    env: { ...process.env, ...env },
  });
  const ended = once(child, "exit").then(([code]) => code as number | null);
  const losses = join(root, folder, "losses.f32");
  const isReady = (): boolean =>
    existsSync(losses) && statSync(losses).size > 0 && existsSync(join(root, folder, "control.json"));
  while (!isReady() && child.exitCode === null) await sleep(20);
  return { child, ended };
}

export async function summaryOf(root: string, folder: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(root, folder, "summary.json"), "utf8")) as Record<string, unknown>;
}

export async function inspected(root: string, folder: string): Promise<Record<string, unknown>> {
  return JSON.parse((await kasmina(["inspect", folder, "--json"], root)).stdout) as Record<string, unknown>;
}
