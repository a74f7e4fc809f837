/** Finds where a run that stopped before its end can go on: its configuration and the last checkpoint that verifies. */
import { resolve } from "node:path";
import { z } from "zod";
import { KasminaError, messageOf } from "../../base/index.js";
import { hasCheckpoint, readCheckpoint } from "../folder/checkpoint.js";
import { type DataRecord, dataRecordIn } from "../folder/data-record.js";
import { RunFolder, readRunFolder } from "../folder/run-folder.js";
import { fromSaved } from "../folder/saved-checkpoint.js";
import type { GrowCheckpoint } from "../grow/grow-result.js";
import { firstProblem, type GrowthConfig, parseGrowthConfig, threadCount } from "./growth-config.js";

/** What may be another at a resume; everything else is taken from the run itself. */
const resumeSchema = z.strictObject({
  /** Folder of the run. */
  resume: z.string({ error: "must name a run folder" }).min(1, { error: "must name a run folder" }),
  /** Of the native engine. */
  threads: threadCount.optional(),
  /** Where the same data lie now; their digest says whether they are. */
  data: z.string({ error: "must be a text" }).min(1, { error: "must not be empty" }).optional(),
});

export type ResumeOptions = z.output<typeof resumeSchema>;

/** What a run began with, as far as `run.json` says. */
export interface RecordedInputs {
  readonly data?: DataRecord | undefined;
  readonly teacherSha256?: string | undefined;
}

export interface StoppedRun {
  /** The caller's to close. */
  readonly folder: RunFolder;
  readonly config: GrowthConfig;
  readonly keepsBatch: true;
  /** Where its data lie. */
  readonly dataName: string;
  readonly inputs: RecordedInputs;
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
  const asked = parseResume(options);
  const folder = await RunFolder.reopen(asked.resume);
  try {
    return { folder, ...(await readStop(folder.path, asked)) };
  } catch (error) {
    folder.close();
    throw error;
  }
}

async function readStop(path: string, { threads, data }: ResumeOptions): Promise<Omit<StoppedRun, "folder">> {
  const { about, checkpointPath } = await readRunFolder(path);
  const { config, inputs } = readAbout(about, path);
  return {
    config: { ...config, runDir: resolve(path), ...(threads !== undefined && { threads }) },
    keepsBatch: true,
    dataName: data ?? inputs.data?.origin ?? config.data,
    inputs,
    checkpoint: await lastGoodCheckpoint(checkpointPath),
  };
}

const aboutSchema = z.object({
  run_id: z.string(),
  config: z.record(z.string(), z.unknown()),
  teacher_sha256: z.string().optional(),
});

export interface RunAbout {
  readonly runId: string;
  readonly config: GrowthConfig;
  readonly inputs: RecordedInputs;
}

/** What `run.json` in `folder` says. @throws KasminaError `corrupt` where it does not say what was asked for */
export function readAbout(about: unknown, folder: string): RunAbout {
  const known = aboutSchema.safeParse(about);
  if (!known.success)
    throw new KasminaError("corrupt", `${folder}: run.json does not say what was asked for`);
  return {
    runId: known.data.run_id,
    config: parseGrowthConfig(known.data.config),
    inputs: { data: dataRecordIn(about), teacherSha256: known.data.teacher_sha256 },
  };
}

function parseResume(options: object): ResumeOptions {
  const others = Object.keys(options).filter((key) => !Object.hasOwn(resumeSchema.shape, key));
  if (others.length > 0) {
    throw new KasminaError(
      "invalid_argument",
      `a resumed run keeps its options; leave out ${others.join(", ")}`,
    );
  }
  const parsed = resumeSchema.safeParse(options);
  if (parsed.success) return parsed.data;
  throw firstProblem(parsed.error.issues[0], options);
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
