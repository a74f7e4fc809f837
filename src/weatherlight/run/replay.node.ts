/**
 * A run again, from its configuration and its command journal alone: the policy is switched off, every command is replayed
 * at the step at which it was accepted, and the loss of every step is held against the recorded one, bit for bit.
 */
import { join } from "node:path";
import { hasFolder, makeTemporaryFolder, removeFolder } from "../../base/disk/index.node.js";
import { KasminaError } from "../../base/index.js";
import { Catalog, readArtifactFolder } from "../../catalog/index.js";
import { sameTensors } from "../../contracts/index.js";
import { MemoryJournal } from "../../kasmina/index.js";
import type { FoundJournal } from "../../kasmina/index.node.js";
import type { StopPlace } from "../../tolaria/index.js";
import { readCheckpoint } from "../folder/checkpoint.js";
import { ReplayedCheckpoints } from "../folder/replayed-checkpoints.js";
import { runFileOf } from "../folder/run-file.js";
import { readLosses, readRunFolder } from "../folder/run-folder.js";
import { fromSaved } from "../folder/saved-checkpoint.js";
import { Mutex } from "../grow/mutex.js";
import type { RunCheckpoint } from "../grow/run-outcome.js";
import type { RunSetup } from "../grow/run-setup.js";
import { trainRun } from "../grow/train-run.js";
import { type GrowConfig, parseGrowOptions } from "./grow-config.js";
import type { GrowOptions } from "./grow-options.js";
import { askedRun, Closers, openEngine, setupOf } from "./open-run.js";
import { readKeptParent } from "./parent.node.js";
import { platform } from "./platform.node.js";
import { withGivenCode } from "./sources.js";
import { journalIn, refuseForeignFiles } from "./vouched.node.js";

export interface Replay {
  /** Steps that the run had done at its last checkpoint; so many were replayed. */
  readonly steps: number;
  /** Commands replayed. */
  readonly commands: number;
  /** The first step (from 0) whose loss differs; null where none does. */
  readonly firstDifference: number | null;
  /** Whether parameters and optimizer state ended the same, to the last bit. */
  readonly sameTensors: boolean;
  /** Why nobody here can vouch for the journal; left out where its seals hold. */
  readonly notVerified?: string;
}

/** What is code is given again, as to a resumed run; `data` may also say where the run's data lie now. */
export interface ReplayOptions extends Pick<GrowOptions, "host" | "data" | "blueprints"> {
  readonly threads?: number;
  readonly signal?: AbortSignal;
  readonly onEpoch?: (epoch: number, trainLoss: number) => void;
}

/**
 * @throws KasminaError `invalid_argument` where `path` holds no run, or code of the run is missing or has changed; `corrupt`
 * where its checkpoint does not verify; `canceled` after the signal
 */
export async function replayRun(path: string, options: ReplayOptions = {}): Promise<Replay> {
  const { path: folder, about, aboutSha256, checkpointPath } = await readRunFolder(path);
  const file = runFileOf(about, folder);
  const found = journalIn(folder, file.run_id, aboutSha256);
  if (found.problem !== undefined) refuseForeignFiles(file, found.problem, options);
  const { host, data, blueprints, threads } = options;
  // A policy decides nothing here: what it sent is in the journal.
  const sources = { ...file.sources, policy: undefined };
  const known = withGivenCode({ ...file, sources }, { host, data, blueprints });
  const config = parseGrowOptions({
    ...known,
    ...(file.sources.policy && { policy: "plateau" }),
    ...(threads !== undefined && { threads }),
    runDir: folder,
  });
  const parent =
    file.parent_run_id === undefined ? undefined : await readKeptParent(folder, file.parent ?? "");
  const closers = new Closers();
  try {
    const asked = await askedRun(config, closers, file, parent);
    const recorded = await readLosses(folder);
    const end = fromSaved(await readCheckpoint(checkpointPath));
    const { backend } = await openEngine(config, closers);
    const catalog = await copyOfCatalog(catalogOf(folder, config, found), closers);
    const training = { backend, mutex: new Mutex() };
    const withCatalog = { ...asked, config: { ...asked.config, catalog } };
    const kernels = await platform.openKernels({ ...withCatalog, ...training, folder });
    closers.add(() => kernels?.close());
    const setup = { ...setupOf({ ...asked, ...training, kernels }), policy: null };
    return await replayed(setup, { folder, recorded, end, options, found });
  } finally {
    await closers.closeAll();
  }
}

interface Replayed {
  readonly folder: string;
  readonly recorded: Float32Array;
  readonly end: RunCheckpoint;
  readonly options: ReplayOptions;
  readonly found: FoundJournal;
}

async function replayed(
  setup: RunSetup,
  { folder, recorded, end, options, found }: Replayed,
): Promise<Replay> {
  const { signal, onEpoch } = options;
  const journal = journalOf(found);
  const checkpoints = await ReplayedCheckpoints.of(folder);
  let firstDifference: number | null = null;
  const result = await trainRun({
    ...setup,
    journal,
    replay: true,
    ...(signal && { signal }),
    until: placeOf(end),
    onCheckpoint: async (checkpoint) => checkpoints.add(checkpoint),
    readCheckpoint: async (step) => checkpoints.readBefore(step),
    onLoss: (step, loss) => {
      if (!Object.is(Math.fround(loss), recorded[step])) firstDifference ??= step;
    },
    onEpoch: ({ epoch, trainLoss }) => onEpoch?.(epoch, trainLoss),
  });
  if (signal?.aborted)
    throw new KasminaError("canceled", `stopped after ${result.steps} steps of the replay`);
  const { steps } = result;
  const same = sameTensors(end.tensors, result.checkpoint.tensors);
  const notVerified = found.problem === undefined ? {} : { notVerified: found.problem };
  return { steps, commands: journal.records.length, firstDifference, sameTensors: same, ...notVerified };
}

/** Where the run was when its checkpoint was taken. */
function placeOf({ kasmina, step, observationDue }: RunCheckpoint): StopPlace {
  if (observationDue) return { step, at: "observation" };
  const waited = kasmina.plan.changes.some(
    ({ intent, effectiveStep }) => intent.kind === "attach" && effectiveStep <= step,
  );
  return { step, at: waited ? "kernel" : "boundary" };
}

/** Every command of the run, those that a compaction moved away included, and what was found of each kernel. */
function journalOf(found: FoundJournal): MemoryJournal {
  const journal = new MemoryJournal();
  for (const record of found.records) journal.append(record);
  for (const result of found.fetchResults) journal.appendFetchResult(result);
  return journal;
}

/** Where nobody vouches for what the folder says, the catalog within it. */
function catalogOf(
  folder: string,
  { catalog }: Pick<GrowConfig, "catalog">,
  { problem }: FoundJournal,
): string {
  return (problem === undefined && catalog) || join(folder, "catalog");
}

/**
 * A passing copy of a run's catalog, so that nothing is written to what may be somebody else's. What is not sound there is left
 * out, and built again where that can be.
 */
async function copyOfCatalog(from: string, closers: Closers): Promise<string> {
  const to = await makeTemporaryFolder("kasmina-catalog-");
  closers.add(() => removeFolder(to));
  if (!hasFolder(from)) return to;
  const [source, copy] = [await Catalog.open(from, { create: false }), await Catalog.open(to)];
  for (const { ref } of (await source.list()).entries) {
    const artifact = await readArtifactFolder(join(source.root, ref)).catch(() => undefined);
    if (artifact && `${artifact.manifest.blueprint}/${artifact.sha256}` === ref) await copy.publish(artifact);
  }
  return to;
}
