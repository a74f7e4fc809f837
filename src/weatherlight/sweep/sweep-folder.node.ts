/**
 * A sweep on disk. A folder holds
 *
 *     sweep.json            what was asked for, as it was given
 *     v000-s0/              the folder of each run, as `kasmina grow` makes it
 *     .claims/v000-s0/      who does that run: a lease, and `failed` where it could not be done
 *     .claims/stop          asks whoever works on the sweep to stop
 *
 * Nothing else says how far it has come: a run is done when its folder says so, so nothing is lost and nothing counted twice, whatever
 * was killed.
 */
import { join, resolve } from "node:path";
import {
  acquireLease,
  hasFolder,
  type Lease,
  lstatIfThere,
  makeFolder,
  makeSubfolder,
  readRegular,
  readRegularIfThere,
  removeFile,
  removeFolder,
  writeFileAtomically,
} from "../../base/disk/index.node.js";
import { KasminaError, messageOf, utf8 } from "../../base/index.js";
import type { Summary } from "../folder/growth-lines.js";
import { isRunFolder, stateOf } from "../folder/list-runs.js";
import { readRunFolder } from "../folder/run-folder.js";
import { summaryOf } from "../folder/summary-file.js";
import { parseSweep, type Sweep, type SweepRun } from "./sweep-file.js";

const SWEEP_FILE = "sweep.json";
const CLAIMS = ".claims";
const FAILED = "failed";
const STOP = "stop";
const MAX_BYTES = 1024 * 1024;

/** `halted`: by an emergency, which somebody has to clear; `failed`: it cannot be done as it was asked for. */
export type SweepRunState = "waiting" | "running" | "stopped" | "finished" | "halted" | "failed";

export interface SweepRunStatus {
  readonly run: SweepRun;
  readonly state: SweepRunState;
  /** Of a run that is finished. */
  readonly summary?: Summary;
  /** Of one that failed: why, and when. */
  readonly problem?: string;
  readonly failedAtMs?: number;
}

export class SweepFolder {
  readonly path: string;
  readonly sweep: Sweep;

  private constructor(path: string, sweep: Sweep) {
    this.path = path;
    this.sweep = sweep;
  }

  /**
   * The folder of a sweep, made where it is not there yet.
   * @throws KasminaError `invalid_data` for a file that is none, `invalid_argument` where another sweep lies in the folder
   */
  static async create(file: string, path: string, known: ReadonlySet<string>): Promise<SweepFolder> {
    const bytes = await readRegular(file, { maxBytes: MAX_BYTES });
    const text = new TextDecoder().decode(bytes);
    const sweep = parseSweep(text, file, known);
    const there = hasFolder(path)
      ? await readRegularIfThere(join(path, SWEEP_FILE), { maxBytes: MAX_BYTES })
      : undefined;
    if (there && new TextDecoder().decode(there) !== text)
      throw new KasminaError(
        "invalid_argument",
        `${path} holds another sweep than ${file}: name a folder with --dir, or go on with that one by \`kasmina worker ${path}\``,
      );
    await makeFolder(path);
    if (!there) await writeFileAtomically(join(path, SWEEP_FILE), utf8(text));
    return new SweepFolder(resolve(path), sweep);
  }

  /** @throws KasminaError `invalid_argument` where there is no sweep */
  static async open(path: string, known: ReadonlySet<string>): Promise<SweepFolder> {
    const file = join(path, SWEEP_FILE);
    const bytes = hasFolder(path) ? await readRegularIfThere(file, { maxBytes: MAX_BYTES }) : undefined;
    if (!bytes) throw new KasminaError("invalid_argument", `there is no sweep in ${path}`);
    return new SweepFolder(resolve(path), parseSweep(new TextDecoder().decode(bytes), file, known));
  }

  runFolder({ id }: SweepRun): string {
    return join(this.path, id);
  }

  /** Every run as it stands, in order. */
  status(): Promise<readonly SweepRunStatus[]> {
    return Promise.all(this.sweep.runs.map((run) => this.statusOf(run)));
  }

  /** A folder that cannot be read is a run that failed, for good: nobody writes over it. */
  async statusOf(run: SweepRun): Promise<SweepRunStatus> {
    try {
      return await this.#statusOf(run);
    } catch (error) {
      return { run, state: "failed", problem: messageOf(error), failedAtMs: Number.POSITIVE_INFINITY };
    }
  }

  async #statusOf(run: SweepRun): Promise<SweepRunStatus> {
    const path = this.runFolder(run);
    if (isRunFolder(path)) {
      const { summary } = await readRunFolder(path);
      const state = await stateOf(path, summary);
      // A run whose time was over has had what the sweep gives each.
      if (state === "finished" || state === "time_limit")
        return { run, state: "finished", summary: summaryOf(summary, path) };
      if (state === "running" || state === "halted") return { run, state };
    }
    const failed = await readRegularIfThere(this.#failedFile(run), { maxBytes: MAX_BYTES });
    if (failed) {
      const failedAtMs = lstatIfThere(this.#failedFile(run))?.mtimeMs ?? 0;
      return { run, state: "failed", problem: new TextDecoder().decode(failed), failedAtMs };
    }
    return { run, state: isRunFolder(path) ? "stopped" : "waiting" };
  }

  /** The right to do a run; undefined where somebody else has it. */
  async claim(run: SweepRun): Promise<Lease | undefined> {
    const folder = this.#claimOf(run);
    await makeSubfolder(join(this.path, CLAIMS));
    await makeSubfolder(folder);
    const lease = await acquireLease(folder, { purpose: "kasmina sweep" });
    return lease.held ? undefined : lease;
  }

  /**
   * Makes a run's folder ready for a process: what another left that was killed before there was a run in it is removed.
   * @returns whether it is; not where a process is still at it, such as that of a worker that was killed
   */
  async prepare(run: SweepRun): Promise<boolean> {
    const path = this.runFolder(run);
    if (lstatIfThere(path) === undefined) return true;
    const lease = await acquireLease(path, { purpose: "kasmina sweep" });
    if (lease.held) return false;
    lease.release();
    if (!isRunFolder(path)) await removeFolder(path);
    return true;
  }

  async fail(run: SweepRun, problem: string): Promise<void> {
    await writeFileAtomically(this.#failedFile(run), utf8(problem));
  }

  forgive(run: SweepRun): void {
    removeFile(this.#failedFile(run));
  }

  async askToStop(): Promise<void> {
    await makeSubfolder(join(this.path, CLAIMS));
    await writeFileAtomically(this.#stopFile, utf8("stop\n"));
  }

  withdrawStop(): void {
    removeFile(this.#stopFile);
  }

  get isAskedToStop(): boolean {
    return lstatIfThere(this.#stopFile) !== undefined;
  }

  get #stopFile(): string {
    return join(this.path, CLAIMS, STOP);
  }

  #claimOf({ id }: SweepRun): string {
    return join(this.path, CLAIMS, id);
  }

  #failedFile(run: SweepRun): string {
    return join(this.#claimOf(run), FAILED);
  }
}
