/**
 * Takes a run over that is not this account's own work (it was sent, restored without its keys, or is of an older format) as a new
 * one: under a new id, with new keys and an empty journal, from the checkpoint that it came with. What its journal holds beyond
 * that checkpoint is not done: nobody vouches for it. Nobody who has the keys that came with it can command the new run.
 */
import { join } from "node:path";
import { moveFile, removeFile } from "../../base/disk/index.node.js";
import { KasminaError, messageOf, sha256Hex, systemClock } from "../../base/index.js";
import { JOURNAL_FILE, RunAccess } from "../control/run-access.js";
import { RUN_KEY_FILE } from "../control/run-keys.js";
import { type FoundCheckpoint, hasCheckpoint, readCheckpoint } from "../folder/checkpoint.js";
import { runFileOf } from "../folder/run-file.js";
import { type RunFolder, readRunFolder } from "../folder/run-folder.js";
import { fromSaved } from "../folder/saved-checkpoint.js";

/** What is put aside of the run that was. */
const ASIDE = ".before-adoption";

/**
 * @returns the id of the run that was
 * @throws KasminaError `corrupt` where no checkpoint of it is whole
 */
export async function adoptRun(folder: RunFolder): Promise<string> {
  const { about, checkpointPath } = await readRunFolder(folder.path);
  const { run_id: before, config } = runFileOf(about, folder.path);
  const checkpoint = await anyCheckpoint(checkpointPath);
  const state = checkpoint && fromSaved(checkpoint);
  const runId = newRunId();
  removeFile(join(folder.path, RUN_KEY_FILE));
  for (const name of [JOURNAL_FILE, `${JOURNAL_FILE}.history`])
    moveFile(join(folder.path, name), join(folder.path, `${name}${ASIDE}`));
  const adopted = { run_id: before, step: state?.step ?? 0 };
  await folder.rewriteAbout({ ...(about as object), run_id: runId, config: { ...config, runId }, adopted });
  const { aboutSha256 } = await readRunFolder(folder.path);
  const access = new RunAccess({
    folder: folder.path,
    runId,
    about: aboutSha256,
    startAfter: state?.kasmina.journalSequence ?? 0,
  });
  try {
    if (checkpoint) await seal(folder, checkpoint, runId, access);
  } finally {
    await access.close();
  }
  return before;
}

function seal(folder: RunFolder, { tensors, meta }: FoundCheckpoint, runId: string, access: RunAccess) {
  const { lastSequence, fetchResults } = access.journal.mark;
  const journal = { last_sequence: lastSequence, fetch_results: fetchResults };
  return folder.writeCheckpoint(
    { tensors, meta: { ...meta, run_id: runId, journal } },
    { sealer: access.sealer, isKept: () => false },
  );
}

async function anyCheckpoint(path: string): Promise<FoundCheckpoint | undefined> {
  if (!(await hasCheckpoint(path))) return undefined;
  try {
    return await readCheckpoint(path);
  } catch (error) {
    const previous = await readCheckpoint(path, "previous").catch(() => undefined);
    if (previous) return previous;
    throw new KasminaError("corrupt", `no checkpoint to go on from: ${messageOf(error)}`, { cause: error });
  }
}

function newRunId(): string {
  const time = new Date(systemClock.nowMs()).toISOString().replace(/[-:]|\..*/g, "");
  return `${time}-${sha256Hex(globalThis.crypto.randomUUID()).slice(0, 6)}`;
}
