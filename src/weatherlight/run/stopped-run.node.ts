/**
 * Finds where a run that stopped before its end can go on, in its own work alone: journal, checkpoint and `run.json` bear the seal
 * of the run's keys, and what does not is refused.
 */
import { KasminaError, messageOf } from "../../base/index.js";
import { RunAccess, type RunAccessOptions } from "../control/run-access.js";
import { type FoundCheckpoint, hasCheckpoint, isSealed, readCheckpoint } from "../folder/checkpoint.js";
import { runFileOf } from "../folder/run-file.js";
import { RunFolder, readRunFolder } from "../folder/run-folder.js";
import { fromSaved, originOf } from "../folder/saved-checkpoint.js";
import type { RunCheckpoint } from "../grow/run-outcome.js";
import { adoptRun } from "./adopt.node.js";
import { FolderRun } from "./kept-run.node.js";
import type { StoppedRun } from "./platform.js";

/**
 * Takes the folder of a run that stopped before its end, and only then reads where it stopped: nobody else goes on with it
 * meanwhile.
 *
 * @param adopt whether it is taken over as a new run
 * @throws KasminaError `invalid_argument` where there is no run, or one that has ended or is going on; `corrupt` where it is not
 * this account's own work, or neither checkpoint of the run verifies
 */
export async function openStoppedRun(path: string, adopt: boolean): Promise<StoppedRun> {
  const folder = await RunFolder.reopen(path);
  try {
    const adopted = adopt ? await adoptRun(folder) : undefined;
    const { about, aboutSha256, checkpointPath } = await readRunFolder(folder.path);
    const file = runFileOf(about, folder.path);
    const own = await readOwn(
      { folder: folder.path, runId: file.run_id, about: aboutSha256 },
      checkpointPath,
    );
    const { access, checkpoint } = own;
    return {
      path: folder.path,
      file,
      checkpoint,
      ...(adopted !== undefined && { adopted }),
      keep: async (request) => new FolderRun(folder, access, request),
      close: async () => {
        await access.close();
        folder.close();
      },
    };
  } catch (error) {
    folder.close();
    throw error;
  }
}

interface Own {
  readonly access: RunAccess;
  readonly checkpoint: RunCheckpoint | undefined;
}

async function readOwn(options: RunAccessOptions, checkpointPath: string): Promise<Own> {
  let access: RunAccess | undefined;
  try {
    access = new RunAccess({ ...options, resumes: true });
    return { access, checkpoint: await lastGoodCheckpoint(checkpointPath, access, options.runId) };
  } catch (error) {
    await access?.close();
    const way = `to go on with it as a new run: kasmina grow --resume ${options.folder} --adopt`;
    throw new KasminaError("corrupt", `${messageOf(error)}; ${way}`, { cause: error });
  }
}

async function lastGoodCheckpoint(
  checkpointPath: string,
  access: RunAccess,
  runId: string,
): Promise<RunCheckpoint | undefined> {
  if (!(await hasCheckpoint(checkpointPath))) return undefined;
  const read = async (which: "current" | "previous"): Promise<RunCheckpoint> =>
    fromSaved(requireOwn(await readCheckpoint(checkpointPath, which), access, runId));
  try {
    return await read("current");
  } catch (error) {
    const previous = await read("previous").catch(() => undefined);
    if (previous) return previous;
    throw new KasminaError("corrupt", `no checkpoint to resume from: ${messageOf(error)}`, { cause: error });
  }
}

function requireOwn(found: FoundCheckpoint, access: RunAccess, runId: string): FoundCheckpoint {
  const origin = originOf(found);
  if (!isSealed(found, access.sealer) || origin.runId !== runId)
    throw new KasminaError("corrupt", "the checkpoint is not this run's own work, or of an older format");
  const { lastSequence, fetchResults } = access.journal.mark;
  const held = origin.journal;
  if (!held || held.lastSequence > lastSequence || held.fetchResults > fetchResults)
    throw new KasminaError("corrupt", "commands that the checkpoint holds are missing in the journal");
  return found;
}
