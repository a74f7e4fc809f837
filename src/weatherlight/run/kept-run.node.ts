/**
 * A run that keeps its files: its folder, its command journal, its keys and its control socket, tied to the run. A rollback
 * returns to checkpoints of the first boundary of an epoch alone: they are the same ones whether the run was stopped and
 * resumed in between or not, so that it ends the same.
 */
import { KasminaError, messageOf } from "../../base/index.js";
import type { KasminaConfig } from "../../kasmina/index.js";
import type { GoodState } from "../../tolaria/index.js";
import { RunAccess } from "../control/run-access.js";
import { hasCheckpoint, readCheckpoint } from "../folder/checkpoint.js";
import type { GrowthLine, Summary } from "../folder/growth-lines.js";
import { runFileOf } from "../folder/run-file.js";
import { RunFolder, readRunFolder } from "../folder/run-folder.js";
import type { RunRecordLine } from "../folder/run-records.js";
import { fromSaved, isOfEpochStart, jsonOf, savedRun, stepOf, toSaved } from "../folder/saved-checkpoint.js";
import type { RunCheckpoint } from "../grow/run-outcome.js";
import type { RunSetup } from "../grow/run-setup.js";
import type { KeptRun, KeptRunRequest, StoppedRun } from "./platform.js";
import type { Sources } from "./sources.js";

export class FolderRun implements KeptRun {
  readonly #folder: RunFolder;
  readonly #access: RunAccess;
  readonly #request: KeptRunRequest;

  private constructor(folder: RunFolder, request: KeptRunRequest) {
    this.#folder = folder;
    this.#access = new RunAccess(folder.path, request.runId, request.onNotice);
    this.#request = request;
  }

  /** Takes a folder for a run that begins. @throws as {@link RunFolder.create} says */
  static async create(path: string, request: KeptRunRequest): Promise<FolderRun> {
    const { runId, config, sources, teacherSha256, share } = request;
    const { data, records } = sources;
    const about = {
      run_id: runId,
      config,
      data,
      teacher_sha256: teacherSha256,
      ...(Object.keys(records).length > 0 && { sources: records }),
    };
    return FolderRun.in(await RunFolder.create(path, jsonOf(about), { share }), request);
  }

  /** @throws KasminaError where keys or journal cannot be had; the folder is closed then */
  static in(folder: RunFolder, request: KeptRunRequest): FolderRun {
    try {
      for (const text of folder.notGuaranteed) request.onNotice(text);
      return new FolderRun(folder, request);
    } catch (error) {
      folder.close();
      throw error;
    }
  }

  get path(): string {
    return this.#folder.path;
  }

  get keys() {
    return this.#access.keys;
  }

  ties(
    config: Readonly<Record<string, unknown>>,
    { host }: Sources,
    { nonceLedger }: KasminaConfig,
  ): Partial<RunSetup> {
    const { runId, stopped } = this.#request;
    const saved = savedRun({ runId, config, host });
    return {
      keys: this.#access.keys,
      journal: this.#access.journal,
      // Where it begins again: commands that came before its first checkpoint are in the journal alone.
      replay: stopped !== undefined && !stopped.checkpoint,
      onControl: this.#access.listen,
      onLoss: (step, loss) => this.#folder.recordLoss(step, loss),
      onCheckpoint: async (checkpoint) => {
        // The one that was there becomes the previous one, where a rollback may return to it.
        const { previousKept } = await this.#folder.writeCheckpoint(
          toSaved(saved, checkpoint),
          (previous) => isOfEpochStart(previous) && stepOf(previous) !== checkpoint.step,
        );
        const { journalSequence } = checkpoint.kasmina;
        this.#access.checkpointed(journalSequence, { nonceTtlMs: nonceLedger.ttlMs, previousKept });
      },
      readCheckpoint: (step) => this.#readBefore(step),
    };
  }

  append(line: GrowthLine | RunRecordLine): void {
    this.#folder.append(line);
  }

  writeSummary(summary: Summary): Promise<void> {
    return this.#folder.writeSummary(summary);
  }

  async close(): Promise<void> {
    await this.#access.close();
    this.#folder.close();
  }

  /** The newest checkpoint from before `step` that verifies; damage is told. */
  async #readBefore(step: number): Promise<GoodState | undefined> {
    for (const which of ["current", "previous"] as const) {
      const found = await this.#read(which);
      if (found && found.step < step) return found;
    }
    return undefined;
  }

  async #read(which: "current" | "previous"): Promise<GoodState | undefined> {
    try {
      const saved = await readCheckpoint(this.#folder.checkpointPath, which);
      return isOfEpochStart(saved) ? fromSaved(saved) : undefined;
    } catch (error) {
      const isDamaged = error instanceof KasminaError && error.code === "corrupt";
      if (isDamaged) this.#request.onNotice(`not used for the rollback: ${messageOf(error)}`);
      return undefined;
    }
  }
}

/**
 * Takes the folder of a run that stopped before its end, and finds where it can go on.
 *
 * @throws KasminaError `invalid_argument` where there is no run, or one that has ended or is going on; `corrupt` where neither
 * checkpoint of the run verifies
 */
export async function openStoppedRun(path: string): Promise<StoppedRun> {
  const folder = await RunFolder.reopen(path);
  try {
    const { about, checkpointPath } = await readRunFolder(folder.path);
    return {
      path: folder.path,
      file: runFileOf(about, folder.path),
      checkpoint: await lastGoodCheckpoint(checkpointPath),
      keep: async (request) => FolderRun.in(folder, request),
      close: () => folder.close(),
    };
  } catch (error) {
    folder.close();
    throw error;
  }
}

async function lastGoodCheckpoint(checkpointPath: string): Promise<RunCheckpoint | undefined> {
  if (!(await hasCheckpoint(checkpointPath))) return undefined;
  try {
    return fromSaved(await readCheckpoint(checkpointPath));
  } catch (error) {
    const previous = await readCheckpoint(checkpointPath, "previous").catch(() => undefined);
    if (previous) return fromSaved(previous);
    throw new KasminaError("corrupt", `no checkpoint to resume from: ${messageOf(error)}`, { cause: error });
  }
}
