/** The same architectures in PyTorch, on the CPU or on a card, in a process of its own that takes turns with the engines. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { KasminaError } from "kasmina/base";
import type { Turn } from "./turns.js";

const SCRIPT = new URL("../../../bench/engine/engine-pytorch.py", import.meta.url).pathname;

/** Where PyTorch computes, and whether as it comes or by `torch.compile`. */
export interface PyTorchOptions {
  readonly device?: "cpu" | "cuda";
  readonly mode?: "eager" | "compiled";
}

/** PyTorch at one thread count. */
export class PyTorch {
  /** Its version, and the libraries that it computes with. */
  readonly about: string;
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(about: string, process: ChildProcess, lines: AsyncIterator<string>) {
    this.about = about;
    this.#process = process;
    this.#lines = lines;
  }

  /** Why there is no PyTorch here; undefined where there is. */
  static async problem({ device = "cpu" }: PyTorchOptions = {}): Promise<string | undefined> {
    const isUsable = device === "cuda" ? "torch.cuda.is_available()" : "True";
    try {
      const { stdout } = await promisify(execFile)(python(), ["-c", `import torch; print(${isUsable})`]);
      return stdout.trim() === "True" ? undefined : `not measured: PyTorch finds no ${device}`;
    } catch {
      return `not measured: ${python()} cannot import torch`;
    }
  }

  static async start(
    threads: number,
    { device = "cpu", mode = "eager" }: PyTorchOptions = {},
  ): Promise<PyTorch> {
    return PyTorch.running(SCRIPT, String(threads), device, mode);
  }

  /** Another script of the same manners. */
  static async running(script: string, ...args: readonly string[]): Promise<PyTorch> {
    const child = spawn(python(), [script, ...args], { stdio: ["pipe", "pipe", "inherit"] });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return new PyTorch(await nextOf(lines), child, lines);
  }

  turnAt(net: string): Turn {
    return async () => {
      this.#process.stdin?.write(`${net}\n`);
      return Number(await nextOf(this.#lines));
    };
  }

  close(): void {
    this.#process.stdin?.end();
  }
}

function python(): string {
  return process.env.PYTHON ?? "python3";
}

async function nextOf(lines: AsyncIterator<string>): Promise<string> {
  const { value, done } = await lines.next();
  if (done) throw new KasminaError("illegal_state", "PyTorch's process has ended");
  return value;
}
