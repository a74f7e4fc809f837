/**
 * The checkpoints of a run on disk. A rollback returns to those of the first boundary of an epoch alone: they are the
 * same ones whether the run was stopped and resumed in between or not, so that it ends the same.
 */
import { KasminaError, messageOf } from "../../base/index.js";
import type { GoodState } from "../../tolaria/index.js";
import { readCheckpoint, type WrittenCheckpoint } from "../folder/checkpoint.js";
import type { RunFolder } from "../folder/run-folder.js";
import { fromSaved, isOfEpochStart, savedRun, stepOf, toSaved } from "../folder/saved-checkpoint.js";
import type { GrowCheckpoint } from "../grow/grow-result.js";
import type { OpenRun } from "./open-run.js";

export class RunCheckpoints {
  readonly #run: OpenRun;
  readonly #folder: RunFolder;

  constructor(run: OpenRun, folder: RunFolder) {
    this.#run = run;
    this.#folder = folder;
  }

  /** The one that was there becomes the previous one, where a rollback may return to it. */
  write(checkpoint: GrowCheckpoint): Promise<WrittenCheckpoint> {
    return this.#folder.writeCheckpoint(
      toSaved(savedRun(this.#run), checkpoint),
      (previous) => isOfEpochStart(previous) && stepOf(previous) !== checkpoint.step,
    );
  }

  /** The newest one from before `step` that verifies; damage is told. */
  async readBefore(step: number): Promise<GoodState | undefined> {
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
      if (isDamaged)
        this.#run.tell({ type: "notice", text: `not used for the rollback: ${messageOf(error)}` });
      return undefined;
    }
  }
}
