/**
 * A run that keeps its files: its folder, its command journal, its keys and its control socket, tied to the run. A rollback
 * returns to checkpoints of the first boundary of an epoch alone: they are the same ones whether the run was stopped and
 * resumed in between or not, so that it ends the same.
 */
import { removeFolder } from "../../base/disk/index.node.js";
import { KasminaError, messageOf } from "../../base/index.js";
import type { KasminaConfig } from "../../kasmina/index.js";
import type { GoodState } from "../../tolaria/index.js";
import { RunAccess } from "../control/run-access.js";
import {
  type Checkpoint,
  isSealed,
  readCheckpoint,
  type WriteOptions,
  type WrittenCheckpoint,
} from "../folder/checkpoint.js";
import type { GrowthLine, Summary } from "../folder/growth-lines.js";
import { RunFolder, readRunFolder } from "../folder/run-folder.js";
import type { RunRecordLine } from "../folder/run-records.js";
import { fromSaved, isOfEpochStart, jsonOf, savedRun, stepOf, toSaved } from "../folder/saved-checkpoint.js";
import type { RunSetup } from "../grow/run-setup.js";
import { keepParent } from "./parent.node.js";
import type { KeptRun, KeptRunRequest } from "./platform.js";
import type { Sources } from "./sources.js";

/** A folder of that name beside the run's own takes the checkpoint of a run that lost its folder. */
const RESCUED = ".rescued";
const RESCUES_MAX = 100;

export class FolderRun implements KeptRun {
  readonly #folder: RunFolder;
  readonly #access: RunAccess;
  readonly #request: KeptRunRequest;
  readonly #lost = new AbortController();
  /** Where the checkpoint of a run that lost its folder lies, or why nowhere. */
  #rescue: RunFolder | string | undefined;

  /** Closes folder and access at its end. */
  constructor(folder: RunFolder, access: RunAccess, request: KeptRunRequest) {
    this.#folder = folder;
    this.#access = access;
    this.#request = request;
    for (const text of folder.notGuaranteed) request.onNotice(text, true);
  }

  /** Takes a folder for a run that begins. @throws as {@link RunFolder.create} says */
  static async create(path: string, request: KeptRunRequest): Promise<FolderRun> {
    const { runId, config, sources, teacherSha256, lineage, parent, share } = request;
    const { data, records } = sources;
    const about = {
      run_id: runId,
      config,
      data,
      teacher_sha256: teacherSha256,
      parent: lineage?.sha256,
      parent_run_id: lineage?.runId,
      ...(Object.keys(records).length > 0 && { sources: records }),
    };
    const folder = await RunFolder.create(path, jsonOf(about), { share });
    try {
      if (parent) await keepParent(folder.path, parent, share);
      if (sources.dataset.tokenizer !== undefined) await folder.writeTokenizer(sources.dataset.tokenizer);
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

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  get keys() {
    return this.#access.keys;
  }

  ties(
    config: Readonly<Record<string, unknown>>,
    { host }: Sources,
    { nonceLedger }: KasminaConfig,
  ): Partial<RunSetup> {
    const { runId, stopped, lineage } = this.#request;
    const { journal, sealer } = this.#access;
    return {
      keys: this.#access.keys,
      journal,
      // Where it begins again: commands that came before its first checkpoint are in the journal alone.
      replay: stopped !== undefined && !stopped.checkpoint,
      onControl: (control) => this.#access.listen(control, this.#request.onNotice),
      // Every step: whether the folder is still there, the next line or checkpoint asks.
      onLoss: (step, loss) => this.#write(() => this.#folder.recordLoss(step, loss)),
      onCheckpoint: async (checkpoint) => {
        const saved = toSaved(
          savedRun({ runId, config, host, journal: journal.mark, parent: lineage?.sha256 }),
          checkpoint,
        );
        const options: WriteOptions = {
          sealer,
          // The one that was there becomes the previous one, where a rollback may return to it.
          isKept: (previous) => isOfEpochStart(previous) && stepOf(previous) !== checkpoint.step,
        };
        const written = await this.#writeCheckpoint(saved, options);
        if (!written) return this.#saveElsewhere(saved);
        const { previousKept } = written;
        const { journalSequence } = checkpoint.kasmina;
        this.#access.checkpointed(journalSequence, { nonceTtlMs: nonceLedger.ttlMs, previousKept });
      },
      readCheckpoint: (step) => this.#readBefore(step),
    };
  }

  append(line: GrowthLine | RunRecordLine): void {
    this.#write(() => {
      this.#folder.requireThere();
      this.#folder.append(line);
    });
  }

  requireThere(): void {
    if (!this.lost.aborted) return;
    const why = messageOf(this.lost.reason);
    throw new KasminaError("io", `${why}; ${this.#whereItLies}`, { cause: this.lost.reason });
  }

  writeSummary(summary: Summary): Promise<void> {
    return this.#folder.writeSummary(summary);
  }

  async close(): Promise<void> {
    if (this.#rescue instanceof RunFolder) this.#rescue.close();
    try {
      await this.#access.close();
      this.#folder.close();
    } catch (error) {
      // Of a folder that is lost it has been said why.
      if (!this.lost.aborted) throw error;
    }
  }

  get #whereItLies(): string {
    const rescue = this.#rescue;
    if (rescue === undefined) return `the last checkpoint is in ${this.#folder.checkpointPath}`;
    if (typeof rescue === "string") return `no checkpoint could be written beside it either: ${rescue}`;
    return `the checkpoint of where training ended is beside it; to go on: kasmina grow --resume ${rescue.path} --adopt`;
  }

  /** Does nothing once the folder is lost: the run is about to end. */
  #write(write: () => void): void {
    if (this.lost.aborted) return;
    try {
      write();
    } catch (error) {
      this.#lost.abort(error);
    }
  }

  /** Undefined where the folder is lost. */
  async #writeCheckpoint(saved: Checkpoint, options: WriteOptions): Promise<WrittenCheckpoint | undefined> {
    if (this.lost.aborted) return undefined;
    try {
      this.#folder.requireThere();
      return await this.#folder.writeCheckpoint(saved, options);
    } catch (error) {
      if (!(error instanceof KasminaError && error.code === "io")) throw error;
      this.#lost.abort(error);
      return undefined;
    }
  }

  /** Beside the folder that is lost. */
  async #saveElsewhere(saved: Checkpoint): Promise<void> {
    const options = { sealer: this.#access.sealer };
    let made: RunFolder | undefined;
    try {
      if (this.#rescue instanceof RunFolder) return void (await this.#rescue.writeCheckpoint(saved, options));
      made = await this.#rescueFolder();
      await made.writeCheckpoint(saved, options);
      this.#rescue = made;
    } catch (error) {
      // What was written there before is still whole.
      this.#rescue ??= messageOf(error);
      made?.close();
      if (made) await removeFolder(made.path);
    }
  }

  async #rescueFolder(): Promise<RunFolder> {
    const { share } = this.#request;
    for (let number = 1; ; number++) {
      const path = `${this.path}${RESCUED}${number === 1 ? "" : `-${number}`}`;
      try {
        const rescue = await RunFolder.create(path, jsonOf(this.#folder.about), { share });
        const { tokenizer } = this.#request.sources.dataset;
        if (tokenizer !== undefined) await rescue.writeTokenizer(tokenizer);
        return rescue;
      } catch (error) {
        if (number === RESCUES_MAX || !(await hasRun(path))) throw error;
      }
    }
  }

  /** The newest checkpoint from before `step` that verifies; damage is reported. */
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

async function hasRun(path: string): Promise<boolean> {
  return readRunFolder(path).then(
    () => true,
    () => false,
  );
}
