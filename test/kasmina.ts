/** Runs the built command line as a person would. */
import { type ChildProcess, spawn } from "node:child_process";

const MAIN = new URL("../dist/cli/main.js", import.meta.url).pathname;

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  /** Resolves once stdout holds `text`. */
  printed(text: string): Promise<void>;
  readonly finished: Promise<Finished>;
}

export function start(args: readonly string[], cwd: string): Running {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd, env: { ...process.env, NO_COLOR: "1" } });
  let stdout = "";
  let stderr = "";
  let hear = (): void => undefined;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    hear();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const finished = new Promise<Finished>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
  const printed = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      hear = () => {
        if (stdout.includes(text)) resolve();
      };
      hear();
      finished.then(() => reject(new Error(`ended before it printed ${text}: ${stderr}`)));
    });
  return { child, printed, finished };
}

export function kasmina(args: readonly string[], cwd: string): Promise<Finished> {
  return start(args, cwd).finished;
}
