/** Finds where a run that stopped before its end can go on: its configuration and the last checkpoint that verifies. */
import { resolve } from "node:path";
import { z } from "zod";
import { KasminaError, messageOf } from "../../base/index.js";
import { hasCheckpoint, readCheckpoint } from "../folder/checkpoint.js";
import { RunFolder, readRunFolder } from "../folder/run-folder.js";
import { fromSaved } from "../folder/saved-checkpoint.js";
import type { GrowCheckpoint } from "../grow/grow-result.js";
import { type GrowthConfig, parseGrowthConfig } from "./growth-config.js";

/** Everything else is taken from the run itself. */
const resumeSchema = z.strictObject({
  /** Folder of the run. */
  resume: z.string().min(1),
  threads: z.number().optional(),
});

export type ResumeOptions = z.infer<typeof resumeSchema>;

export interface StoppedRun {
  /** The caller's to close. */
  readonly folder: RunFolder;
  readonly config: GrowthConfig;
  /** Undefined where it stopped before its first one: it begins again. */
  readonly checkpoint: GrowCheckpoint | undefined;
}

/** Whether the options of a run ask for one to be resumed. */
export function isResume(options: unknown): options is { readonly resume: unknown } {
  return (
    typeof options === "object" && options !== null && "resume" in options && options.resume !== undefined
  );
}

/**
 * Takes the folder of a stopped run, and only then reads where it stopped: nobody else goes on with it meanwhile.
 *
 * @throws KasminaError `invalid_argument` where there is no run, or one that has ended or is still running, or other
 * options are given beside; `corrupt` where neither checkpoint of the run verifies
 */
export async function openStoppedRun(options: { readonly resume: unknown }): Promise<StoppedRun> {
  const folder = await RunFolder.reopen(resumeOptions(options).resume);
  try {
    return { folder, ...(await readStop(folder.path)) };
  } catch (error) {
    folder.close();
    throw error;
  }
}

async function readStop(path: string): Promise<Omit<StoppedRun, "folder">> {
  const { about, checkpointPath } = await readRunFolder(path);
  const known = z.object({ config: z.record(z.string(), z.unknown()) }).safeParse(about);
  if (!known.success) throw new KasminaError("corrupt", `${path}: run.json does not say what was asked for`);
  const config = parseGrowthConfig({ ...known.data.config, runDir: resolve(path) });
  return { config, checkpoint: await lastGoodCheckpoint(checkpointPath) };
}

function resumeOptions(options: object): ResumeOptions {
  const parsed = resumeSchema.safeParse(options);
  if (parsed.success) return parsed.data;
  const others = Object.keys(options).filter((key) => !Object.hasOwn(resumeSchema.shape, key));
  const what =
    others.length > 0
      ? `a resumed run keeps its options; leave out ${others.join(", ")}`
      : "resume must name a run folder";
  throw new KasminaError("invalid_argument", what);
}

async function lastGoodCheckpoint(checkpointPath: string): Promise<GrowCheckpoint | undefined> {
  if (!(await hasCheckpoint(checkpointPath))) return undefined;
  try {
    return fromSaved(await readCheckpoint(checkpointPath));
  } catch (error) {
    const previous = await readCheckpoint(checkpointPath, "previous").catch(() => undefined);
    if (previous) return fromSaved(previous);
    throw new KasminaError("corrupt", `no checkpoint to resume from: ${messageOf(error)}`, { cause: error });
  }
}
