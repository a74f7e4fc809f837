/**
 * A run that keeps its files: its folder, its command journal, its keys and its control socket, tied to the run. A rollback
 * returns to checkpoints of the first boundary of an epoch alone: they are the same ones whether the run was stopped and
 * resumed in between or not, so that it ends the same.
 */
import { KasminaError, messageOf } from "../../base/index.js";
import type { KasminaConfig } from "../../kasmina/index.js";
import type { GoodState } from "../../tolaria/index.js";
import { RunAccess } from "../control/run-access.js";
import { isSealed, readCheckpoint } from "../folder/checkpoint.js";
import type { GrowthLine, Summary } from "../folder/growth-lines.js";
import { RunFolder, readRunFolder } from "../folder/run-folder.js";
import type { RunRecordLine } from "../folder/run-records.js";
import { fromSaved, isOfEpochStart, jsonOf, savedRun, stepOf, toSaved } from "../folder/saved-checkpoint.js";
import type { RunSetup } from "../grow/run-setup.js";
import type { KeptRun, KeptRunRequest } from "./platform.js";
import type { Sources } from "./sources.js";

export class FolderRun implements KeptRun {
  readonly #folder: RunFolder;
  readonly #access: RunAccess;
  readonly #request: KeptRunRequest;

  /** Closes folder and access at its end. */
  constructor(folder: RunFolder, access: RunAccess, request: KeptRunRequest) {
    this.#folder = folder;
    this.#access = access;
    this.#request = request;
    for (const text of folder.notGuaranteed) request.onNotice(text, true);
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
    const folder = await RunFolder.create(path, jsonOf(about), { share });
    try {
      const { aboutSha256 } = await readRunFolder(folder.path);
      return new FolderRun(
        folder,
        new RunAccess({ folder: folder.path, runId, about: aboutSha256 }),
        request,
      );
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
    const { journal, sealer } = this.#access;
    return {
      keys: this.#access.keys,
      journal,
      // Where it begins again: commands that came before its first checkpoint are in the journal alone.
      replay: stopped !== undefined && !stopped.checkpoint,
      onControl: (control) => this.#access.listen(control, this.#request.onNotice),
      onLoss: (step, loss) => this.#folder.recordLoss(step, loss),
      onCheckpoint: async (checkpoint) => {
        // The one that was there becomes the previous one, where a rollback may return to it.
        const saved = toSaved(savedRun({ runId, config, host, journal: journal.mark }), checkpoint);
        const { previousKept } = await this.#folder.writeCheckpoint(saved, {
          sealer,
          isKept: (previous) => isOfEpochStart(previous) && stepOf(previous) !== checkpoint.step,
        });
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
      if (!isSealed(saved, this.#access.sealer))
        throw new KasminaError("corrupt", `the ${which} checkpoint is not this run's own`);
      return isOfEpochStart(saved) ? fromSaved(saved) : undefined;
    } catch (error) {
      const isDamaged = error instanceof KasminaError && error.code === "corrupt";
      if (isDamaged) this.#request.onNotice(`not used for the rollback: ${messageOf(error)}`);
      return undefined;
    }
  }
}
