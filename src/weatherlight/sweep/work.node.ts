/**
 * Works on a sweep: takes runs that nobody does, starts each in a process of its own, and goes on with what somebody left behind. Any
 * number of workers share a folder; a run is whose its claim is, and a worker that dies has its claim taken by another.
 */
import { spawn } from "node:child_process";
import type { Clock } from "../../base/clock.js";
import { environmentWithKeys } from "../../base/quiet-runtime.node.js";
import type { SweepRun } from "./sweep-file.js";
import type { SweepFolder, SweepRunStatus } from "./sweep-folder.node.js";

/** How a run's process ended: its exit code, and the last line of what it complained of. */
export interface Ended {
  readonly code: number;
  readonly problem: string;
}

/** Runs `kasmina grow` with these arguments; when `signal` aborts it is asked to end. */
export type Launch = (args: readonly string[], signal: AbortSignal) => Promise<Ended>;

export interface WorkOptions {
  readonly folder: SweepFolder;
  /** Runs at once. */
  readonly slots: number;
  readonly launch: Launch;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called when a run of this worker's is over, whatever came of it. */
  readonly onRun?: (status: SweepRunStatus) => void;
  /** How often it is looked whether others have ended or left something behind. Default 1 s. */
  readonly pollMs?: number;
}

/** Wrong use: no second try helps. */
const USAGE = 2;
/** Tries of a run whose process fails. */
const TRIES = 3;

/** Resolves once every run is over, or `signal` or `kasmina sweep stop` ends the work. */
export async function workOn(options: WorkOptions): Promise<void> {
  const { folder, clock, signal, pollMs = 1_000 } = options;
  const stop = new AbortController();
  const end = (): void => stop.abort();
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  const look = (): void => {
    if (folder.isAskedToStop) end();
    timer = clock.setTimer(look, pollMs);
  };
  let timer = clock.setTimer(look, pollMs);
  try {
    const worker = new Worker({ ...options, pollMs, signal: stop.signal });
    await Promise.all(Array.from({ length: options.slots }, () => worker.run()));
  } finally {
    timer.cancel();
    signal.removeEventListener("abort", end);
  }
}

type WorkerOptions = WorkOptions & { readonly pollMs: number };

class Worker {
  readonly #options: WorkerOptions;
  readonly #startMs: number;
  /** Runs that may not be over yet; those that are, are not read again. */
  readonly #open: Set<SweepRun>;
  /** Runs that a slot of this worker has in hand: a claim does not keep them apart. */
  readonly #taken = new Set<SweepRun>();

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#startMs = options.clock.nowMs();
    this.#open = new Set(options.folder.sweep.runs);
  }

  /** One slot. */
  async run(): Promise<void> {
    const { signal } = this.#options;
    while (!signal.aborted && this.#open.size > 0) if (!(await this.#takeOne())) await this.#pause();
  }

  /** What failed before this worker began is tried again: somebody may have mended it. */
  #isOpen({ state, failedAtMs = 0 }: SweepRunStatus): boolean {
    if (state === "failed") return failedAtMs < this.#startMs;
    return state !== "finished" && state !== "halted";
  }

  /** Does one that nobody else does; false where there is none. */
  async #takeOne(): Promise<boolean> {
    const { folder } = this.#options;
    for (const run of this.#open) {
      if (this.#taken.has(run)) continue;
      this.#taken.add(run);
      try {
        if (!this.#isOpen(await folder.statusOf(run))) {
          this.#open.delete(run);
          continue;
        }
        const lease = await folder.claim(run);
        if (!lease) continue;
        try {
          await this.#attend(run);
        } finally {
          lease.release();
        }
        return true;
      } finally {
        this.#taken.delete(run);
      }
    }
    return false;
  }

  /** Until the run is over, or this worker is to stop. */
  async #attend(run: SweepRun): Promise<void> {
    const { folder, signal, onRun } = this.#options;
    folder.forgive(run);
    let tries = 0;
    while (!signal.aborted) {
      const status = await folder.statusOf(run);
      if (!this.#isOpen(status)) return onRun?.(status);
      // The process of a worker that was killed goes on by itself.
      const isFree = status.state !== "running" && (await folder.prepare(run));
      if (isFree) await this.#try(status, ++tries === TRIES);
      else await this.#pause();
    }
  }

  async #try({ run, state }: SweepRunStatus, isLast: boolean): Promise<void> {
    const { folder, launch, signal } = this.#options;
    const path = folder.runFolder(run);
    const args = state === "waiting" ? [...run.args, "--run-dir", path] : ["--resume", path];
    // What is asked to end before it begins would not hear of it.
    if (signal.aborted) return;
    const { code, problem } = await launch(args, signal);
    if (code === 0 || signal.aborted) return;
    const after = await folder.statusOf(run);
    const goesOn = after.state === "halted" || after.state === "running";
    if (!goesOn && (code === USAGE || isLast)) await folder.fail(run, problem);
  }

  #pause(): Promise<void> {
    const { clock, pollMs, signal } = this.#options;
    return new Promise((done) => {
      const timer = clock.setTimer(wake, pollMs);
      function wake(): void {
        timer.cancel();
        signal.removeEventListener("abort", wake);
        done();
      }
      signal.addEventListener("abort", wake, { once: true });
    });
  }
}

/** Of what a process complains of. */
const KEPT_CHARACTERS = 4_000;

/**
 * Starts a process a run. It has a group of its own: Ctrl-C reaches this program alone, which asks each of them once, so that they end
 * with their checkpoint written.
 *
 * @param program the script of `kasmina`
 */
export function launchProcess(program: string): Launch {
  return (args, signal) =>
    new Promise((done) => {
      const child = spawn(process.execPath, [program, "grow", ...args, "--quiet"], {
        detached: true,
        stdio: ["ignore", "ignore", "pipe"],
        env: environmentWithKeys(),
      });
      let said = "";
      const end = (): void => void child.kill("SIGTERM");
      signal.addEventListener("abort", end, { once: true });
      child.stderr.setEncoding("utf8");
      child.stderr.on("data", (text: string) => {
        said = (said + text).slice(-KEPT_CHARACTERS);
      });
      const ended = (code: number, otherwise: string): void => {
        signal.removeEventListener("abort", end);
        done({ code, problem: said.trim().split("\n").at(-1) || otherwise });
      };
      child.on("error", (error) => ended(1, error.message));
      child.on("close", (code, killedBy) => ended(code ?? 1, `it was ended by ${killedBy ?? "nobody"}`));
    });
}
