/** The same architectures in PyTorch, eager, on the CPU; where Python cannot import torch, says so. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const SCRIPT = new URL("../../bench/engine-pytorch.py", import.meta.url).pathname;

/** Milliseconds a step by net, or why there are none. */
export async function measurePyTorch(threads: number): Promise<Readonly<Record<string, number>> | string> {
  const run = promisify(execFile);
  const python = process.env.PYTHON ?? "python3";
  try {
    await run(python, ["-c", "import torch"]);
  } catch {
    return `not measured: ${python} cannot import torch`;
  }
  // At its best thread count: more threads than cores that are free can cost it a factor of ten.
  const runs: Record<string, number>[] = [];
  for (const count of new Set([1, threads])) {
    const { stdout } = await run(python, [SCRIPT, String(count)]);
    runs.push(JSON.parse(stdout) as Record<string, number>);
  }
  const names = Object.keys(runs[0] ?? {});
  return Object.fromEntries(
    names.map((name) => [name, Math.min(...runs.map((one) => one[name] ?? Number.NaN))]),
  );
}
