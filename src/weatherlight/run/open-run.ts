/** What a run's configuration comes to: data, host, engine, policy, folder and access, opened in order and closed again. */

import { resolve } from "node:path";
import { KasminaError } from "../../base/index.js";
import type { BatchSource, CommandSource, Dataset } from "../../contracts/index.js";
import type { BatchOptions } from "../../data/index.js";
import { type Backend, openBackend } from "../../engine/index.js";
import type { KasminaConfig } from "../../kasmina/index.js";
import { type BlueprintRegistry, builtinBlueprints, createHost, type Host } from "../../nn/index.js";
import type { Policy } from "../../tamiyo/index.js";
import { ProcessTracer } from "../../tolaria/tracing/process-tracer.node.js";
import { RunAccess } from "../control/run-access.js";
import { type DataRecord, openRunData } from "../folder/data-record.js";
import type { GrowthCallbacks, GrowthLine } from "../folder/growth-lines.js";
import { RunFolder } from "../folder/run-folder.js";
import { jsonOf } from "../folder/saved-checkpoint.js";
import type { GrowCheckpoint } from "../grow/grow-result.js";
import type { RunKernels } from "../grow/ports.js";
import { type GrowthConfig, parseGrowthConfig } from "./growth-config.js";
import { isResume, openStoppedRun, type RecordedInputs, type StoppedRun } from "./resume.js";
import { limitsOf, openRunKernels } from "./run-kernels.js";
import { policyFor } from "./run-policy.js";
import type { Reporting } from "./run-reporting.js";
import { type RunTeacher, readTeacher } from "./teacher.js";

const UNKNOWN_DATA =
  "run.json does not say which data the run began with, so nobody can tell whether they are the same";

/** Parts of a run that its caller brings, where others than the configuration's are wanted. */
export interface RunParts {
  readonly policy?: Policy;
  /** Topologies with other blueprints than the built-in ones are traced on the training thread. */
  readonly blueprints?: BlueprintRegistry;
  readonly kasmina?: KasminaConfig;
  /** What stands between the run and its engine. */
  readonly backend?: (backend: Backend) => Backend;
  /** Opens the kernels of the run, which closes them. */
  readonly openKernels?: (trainingRunId: string) => Promise<OpenKernels>;
  /** Training batches over the run's data. */
  readonly batches?: (dataset: Dataset, options: BatchOptions) => BatchSource;
  /** Commands beside those of the policy and of the local socket. */
  readonly commands?: CommandSource;
}

export interface OpenKernels extends RunKernels {
  close(): Promise<void>;
}

export interface OpenRun extends Reporting {
  readonly runId: string;
  readonly config: GrowthConfig;
  readonly parts: RunParts;
  readonly kasmina: KasminaConfig;
  readonly dataset: Dataset;
  /** Which data they are. */
  readonly data: DataRecord;
  readonly host: Host;
  readonly blueprints: BlueprintRegistry;
  readonly backend: Backend;
  readonly tracer: ProcessTracer | undefined;
  readonly policy: Policy | null;
  readonly teacher: RunTeacher | undefined;
  readonly kernels: OpenKernels | undefined;
  /** Undefined where the run keeps no files; then nobody reaches it from outside either. */
  readonly folder: RunFolder | undefined;
  readonly access: RunAccess | undefined;
  /** Where a stopped run goes on. */
  readonly resume: GrowCheckpoint | undefined;
  /** Whether it begins again: commands that came before its first checkpoint are in the journal alone. */
  readonly replay: boolean;
  readonly signal: AbortSignal | undefined;
}

/** What is asked for, found to be possible; nothing is written yet. */
type AskedRun = Pick<
  OpenRun,
  "runId" | "config" | "parts" | "kasmina" | "dataset" | "data" | "host" | "blueprints" | "policy" | "teacher"
>;

/**
 * Opens everything that a run needs, hands it to `work`, and closes it.
 * @throws as {@link GrowthRunner} says
 */
export async function withOpenRun<T>(
  options: unknown,
  callbacks: GrowthCallbacks,
  parts: RunParts,
  work: (run: OpenRun) => Promise<T>,
): Promise<T> {
  if (!isResume(options)) return openRun({ options, stopped: undefined }, callbacks, parts, work);
  const stopped = await openStoppedRun(options);
  try {
    return await openRun({ options, stopped }, callbacks, parts, work);
  } finally {
    stopped.folder.close();
  }
}

async function openRun<T>(
  { options, stopped }: { readonly options: unknown; readonly stopped: StoppedRun | undefined },
  callbacks: GrowthCallbacks,
  parts: RunParts,
  work: (run: OpenRun) => Promise<T>,
): Promise<T> {
  const config = stopped?.config ?? absolutePaths(parseGrowthConfig(options));
  const asked = await readAsked(config, parts, stopped ?? { keepsBatch: batchOf(options) !== undefined });
  const { runId } = asked;
  const engine = await openBackend(
    config.engine,
    config.threads === undefined ? {} : { threads: config.threads },
  );
  const backend = parts.backend?.(engine.backend) ?? engine.backend;
  const folder =
    stopped?.folder ?? (await newFolder({ ...asked.config, runId, engine: backend.name }, asked));
  const reporting = reportingOf(folder, callbacks);
  const closers: (() => unknown)[] = [() => backend.dispose(), () => folder?.close()];
  try {
    const tracer = traceBeside(asked, backend, reporting);
    closers.push(() => tracer?.close());
    const access =
      folder && new RunAccess(folder.path, runId, (text) => reporting.tell({ type: "notice", text }));
    closers.push(() => access?.close());
    const resumed = stopped ? resumeNotices(runId, stopped) : [];
    for (const text of [...(folder?.notGuaranteed ?? []), `engine ${engine.reason}`, ...resumed])
      reporting.tell({ type: "notice", text });
    // A run that nobody can germinate in needs no kernels.
    const kernels = asked.policy || access ? await openKernels(asked, folder) : undefined;
    closers.push(() => kernels?.close());
    const opened = { backend, tracer, kernels, folder, access };
    return await work({
      ...asked,
      ...reporting,
      ...opened,
      resume: stopped?.checkpoint,
      replay: stopped !== undefined && !stopped.checkpoint,
      signal: callbacks.signal,
    });
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

/** The batch that the caller asks for, if any: the default one shrinks to small data. */
function batchOf(options: unknown): unknown {
  return typeof options === "object" && options !== null && "batch" in options ? options.batch : undefined;
}

function resumeNotices(runId: string, { checkpoint, inputs }: StoppedRun): string[] {
  const resumed = `resumed ${runId} at step ${checkpoint?.step ?? 0}`;
  return inputs.data ? [resumed] : [resumed, UNKNOWN_DATA];
}

/** A run that is resumed in another working folder finds what it began with. */
function absolutePaths(config: GrowthConfig): GrowthConfig {
  const { teacher, catalog } = config;
  return {
    ...config,
    ...(teacher !== undefined && { teacher: resolve(teacher) }),
    ...(catalog !== undefined && { catalog: resolve(catalog) }),
  };
}

/** What a run that begins, or goes on, holds to. */
interface Given {
  /** Whether the batch is the caller's; the default one shrinks to small data. */
  readonly keepsBatch: boolean;
  readonly dataName?: string;
  readonly inputs?: RecordedInputs;
}

async function readAsked(given: GrowthConfig, parts: RunParts, held: Given): Promise<AskedRun> {
  const { dataset, record } = await openRunData(held.dataName ?? given.data, held.inputs?.data);
  const config = held.keepsBatch ? given : { ...given, batch: Math.min(given.batch, dataset.train.count) };
  const host = createHost(config.host, dataset);
  const policy = config.growth ? (parts.policy ?? policyFor(config, host)) : null;
  const teacher =
    config.teacher === undefined
      ? undefined
      : await readTeacher(config.teacher, config, host, held.inputs?.teacherSha256);
  checkBatch(config, dataset);
  return {
    runId: config.runId ?? `run-${globalThis.crypto.randomUUID()}`,
    config,
    parts,
    kasmina: parts.kasmina ?? limitsOf(config),
    dataset,
    data: record,
    host,
    blueprints: parts.blueprints ?? builtinBlueprints,
    policy,
    teacher,
  };
}

function reportingOf(folder: RunFolder | undefined, { onLine }: GrowthCallbacks): Reporting {
  return {
    tell: (line: GrowthLine) => {
      if (line.type !== "step") folder?.append(line);
      onLine?.(line);
    },
    record: (line) => folder?.append(line),
  };
}

function openKernels(
  { parts, config, runId }: AskedRun,
  folder: RunFolder | undefined,
): Promise<OpenKernels> {
  return parts.openKernels?.(runId) ?? openRunKernels(config, runId, folder?.path);
}

async function newFolder(config: GrowthConfig, { data, teacher }: AskedRun): Promise<RunFolder | undefined> {
  if (config.runDir === undefined) return undefined;
  const { runDir, share = false } = config;
  const about = {
    run_id: config.runId ?? "",
    config: jsonOf(config),
    data: jsonOf(data),
    ...(teacher?.sha256 !== undefined && { teacher_sha256: teacher.sha256 }),
  };
  return RunFolder.create(runDir, about, { share });
}

/**
 * The host's module, by its URL: a process of its own makes the same host and traces its topologies. It is told
 * of no teacher and of no blueprint but the built-in ones.
 */
function traceBeside(
  { config, dataset, parts, teacher }: AskedRun,
  backend: Backend,
  { tell }: Reporting,
): ProcessTracer | undefined {
  if (backend.name !== "native" || teacher || parts.blueprints) return undefined;
  const { inputShape, inputDType, classes } = dataset;
  const module = new URL("../../nn/index.js", import.meta.url).href;
  return new ProcessTracer({
    host: { module, name: "createHost", args: [config.host, { inputShape, inputDType, classes }] },
    onFallback: (problem) =>
      tell({ type: "notice", text: `a topology was traced on the training thread: ${problem}` }),
  });
}

function checkBatch(config: GrowthConfig, dataset: Dataset): void {
  if (config.batch <= dataset.train.count) return;
  throw new KasminaError(
    "invalid_argument",
    `batch ${config.batch} is larger than the ${dataset.train.count} training rows of ${dataset.name}`,
  );
}
