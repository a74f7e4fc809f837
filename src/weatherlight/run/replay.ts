/**
 * A run again, from its configuration and its command journal alone: the policy is switched off, every command is done
 * at the step at which it was accepted, and the loss of every step is held against the recorded one, bit for bit.
 */
import { join } from "node:path";
import { KasminaError } from "../../base/index.js";
import { openBackend } from "../../engine/index.js";
import { MemoryJournal } from "../../kasmina/index.js";
import { openJournal } from "../../kasmina/index.node.js";
import { createHost } from "../../nn/index.js";
import type { StopPlace } from "../../tolaria/index.js";
import { JOURNAL_FILE } from "../control/run-access.js";
import { readCheckpoint } from "../folder/checkpoint.js";
import { openRunData } from "../folder/data-record.js";
import { ReplayedCheckpoints } from "../folder/replayed-checkpoints.js";
import { readLosses, readRunFolder } from "../folder/run-folder.js";
import { fromSaved } from "../folder/saved-checkpoint.js";
import { grow } from "../grow/grow.js";
import type { GrowCheckpoint } from "../grow/grow-result.js";
import { readAbout } from "./resume.js";
import { limitsOf, openRunKernels } from "./run-kernels.js";
import { readTeacher } from "./teacher.js";

export interface Replay {
  /** Steps that the run had done at its last checkpoint; so many were done again. */
  readonly steps: number;
  /** Commands done again. */
  readonly commands: number;
  /** The first step (from 0) whose loss differs; null where none does. */
  readonly firstDifference: number | null;
  /** Whether parameters and optimizer state ended the same, to the last bit. */
  readonly sameTensors: boolean;
}

export interface ReplayOptions {
  /** Where the run's data lie now; default: where they lay when it began. */
  readonly data?: string;
  readonly threads?: number;
  readonly signal?: AbortSignal;
  readonly onEpoch?: (epoch: number, trainLoss: number) => void;
}

/**
 * @throws KasminaError `invalid_argument` where `path` holds no run, `invalid_data` where its data are others now, `corrupt` where its checkpoint does not verify,
 * `canceled` after the signal
 */
export async function replayRun(path: string, options: ReplayOptions = {}): Promise<Replay> {
  const { path: folder, about, checkpointPath } = await readRunFolder(path);
  const { runId, config, inputs } = readAbout(about, folder);
  const recorded = await readLosses(folder);
  const end = fromSaved(await readCheckpoint(checkpointPath));
  const journal = journalOf(folder);
  const { dataset } = await openRunData(options.data ?? inputs.data?.origin ?? config.data, inputs.data);
  const host = createHost(config.host, dataset);
  const teacher =
    config.teacher === undefined
      ? undefined
      : await readTeacher(config.teacher, config, host, inputs.teacherSha256);
  const threads = options.threads ?? config.threads;
  const { backend } = await openBackend(config.engine, threads === undefined ? {} : { threads });
  const kernels = await openRunKernels(config, runId, folder);
  const checkpoints = await ReplayedCheckpoints.of(folder);
  let firstDifference: number | null = null;
  try {
    const result = await grow({
      runId,
      host,
      dataset,
      backend,
      epochs: config.epochs,
      batch: config.batch,
      optimizer: config.optimizer,
      ...(config.lr !== undefined && { hyper: { learningRate: config.lr } }),
      seed: config.seed,
      config: limitsOf(config),
      ...(teacher && { teacher }),
      policy: null,
      journal,
      kernels,
      replay: true,
      ...(options.signal && { signal: options.signal }),
      until: placeOf(end),
      onCheckpoint: async (checkpoint) => checkpoints.add(checkpoint),
      readCheckpoint: async (step) => checkpoints.readBefore(step),
      onLoss: (step, loss) => {
        if (!Object.is(Math.fround(loss), recorded[step])) firstDifference ??= step;
      },
      onEpoch: ({ epoch, trainLoss }) => options.onEpoch?.(epoch, trainLoss),
    });
    if (options.signal?.aborted)
      throw new KasminaError("canceled", `stopped after ${result.steps} steps of the replay`);
    const sameTensors = sameBits(end.tensors, result.checkpoint.tensors);
    return { steps: result.steps, commands: journal.records.length, firstDifference, sameTensors };
  } finally {
    await kernels.close();
    await backend.dispose();
  }
}

/** Where the run was when its checkpoint was taken. */
function placeOf({ kasmina, step, observationDue }: GrowCheckpoint): StopPlace {
  if (observationDue) return { step, at: "observation" };
  const waited = kasmina.plan.changes.some(
    ({ intent, effectiveStep }) => intent.kind === "attach" && effectiveStep <= step,
  );
  return { step, at: waited ? "kernel" : "boundary" };
}

/** Every command of the run, those that a compaction moved away included, and what was found of each kernel. */
function journalOf(folder: string): MemoryJournal {
  const disk = openJournal(join(folder, JOURNAL_FILE));
  const journal = new MemoryJournal();
  for (const record of disk.history()) journal.append(record);
  for (const result of disk.fetchResults) journal.appendFetchResult(result);
  disk.close();
  return journal;
}

type Checkpointed = ReturnType<typeof fromSaved>["tensors"];

function sameBits(a: Checkpointed, b: Checkpointed): boolean {
  const paths = Object.keys(a);
  if (paths.length !== Object.keys(b).length) return false;
  return paths.every((path) => {
    const [one, other] = [a[path]?.data, b[path]?.data];
    return (
      one !== undefined &&
      other !== undefined &&
      one.length === other.length &&
      one.every((value, i) => Object.is(value, other[i]))
    );
  });
}
