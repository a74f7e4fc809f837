/** What the options of a run come to: data, host, engine, policy, folder and access, opened in order and closed again. */

import { platform } from "#platform";
import { KasminaError, sum } from "../../base/index.js";
import { type AnyDataset, TASK_TRAITS, taskOf } from "../../contracts/index.js";
import { type Backend, openBackend } from "../../engine/index.js";
import { type KasminaConfig, parseConfig } from "../../kasmina/index.js";
import type { Policy } from "../../tamiyo/index.js";
import type { Inheritance, TopologyTracer } from "../../tolaria/index.js";
import type { RunFile } from "../folder/run-file.js";
import { Mutex } from "../grow/mutex.js";
import type { RunKernels } from "../grow/ports.js";
import type { RunSetup } from "../grow/run-setup.js";
import {
  DEFAULT_BATCH,
  type GrowConfig,
  parseGrowOptions,
  parseResumeOptions,
  recordedConfig,
} from "./grow-config.js";
import type { GrowOptions } from "./grow-options.js";
import { inherited, isOnnxFile, withParentOptions } from "./parent.js";
import type { KeptRun, Lineage, RunParent, RunTeacher, StoppedRun } from "./platform.js";
import { policyFor } from "./run-policy.js";
import { checkCode, openSources, type Sources, withGivenCode } from "./sources.js";

const UNKNOWN_DATA =
  "run.json does not say which data the run began with, so nobody can tell whether they are the same";

/** What is asked for, found to be possible; nothing is written yet. */
export interface AskedRun {
  readonly runId: string;
  readonly config: GrowConfig & { readonly batch: number };
  readonly sources: Sources;
  /** Undefined: the cross-entropy of classes. */
  readonly loss?: RunSetup["loss"];
  readonly limits: KasminaConfig;
  readonly policy: Policy | null;
  readonly teacher: RunTeacher | undefined;
  /** What the run descends from; undefined where it begins afresh. */
  readonly lineage: Lineage | undefined;
  /** The run that it begins with; undefined where it begins afresh, or goes on from a checkpoint of its own. */
  readonly parent: RunParent | undefined;
  readonly inherits: Inheritance | undefined;
}

/** A run whose parts are open. */
export interface OpenRun extends AskedRun {
  readonly backend: Backend;
  /** By which what runs on the training thread takes turns. */
  readonly mutex: Mutex;
  readonly tracer: TopologyTracer | undefined;
  /** Undefined where they are built on the training thread. */
  readonly kernels: RunKernels | undefined;
  /** Undefined where the run keeps no files; then nobody reaches it from outside either. */
  readonly kept: KeptRun | undefined;
  /** As `run.json` and checkpoints hold it. */
  readonly recorded: Readonly<Record<string, unknown>>;
  /** Where a stopped run goes on. */
  readonly stopped: StoppedRun | undefined;
}

/** Opens what closes itself at the end of the run, in reverse order. */
export class Closers {
  readonly #closers: (() => unknown)[] = [];

  add(close: () => unknown): void {
    this.#closers.push(close);
  }

  async closeAll(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }
}

/** Opens everything that a run needs, hands it to `work`, and closes it. */
export async function withOpenRun<T>(options: GrowOptions, work: (run: OpenRun) => Promise<T>): Promise<T> {
  const closers = new Closers();
  try {
    const { stopped, config } = await configOf(options, closers);
    const parent = await parentOf(config, stopped);
    const asked = await askedRun(config, closers, stopped?.file, parent);
    return await work(await openRun(asked, stopped, closers));
  } finally {
    await closers.closeAll();
  }
}

async function configOf(
  options: GrowOptions,
  closers: Closers,
): Promise<{ stopped?: StoppedRun; config: GrowConfig }> {
  if (options?.resume === undefined)
    return { config: parseGrowOptions(await withParentOptions(options ?? {})) };
  const {
    resume,
    adopt = false,
    engine,
    threads,
    checkpointEvery,
    featureCache,
    timeLimit,
    ...given
  } = parseResumeOptions(options);
  const stopped = await platform.openStoppedRun(resume, adopt);
  closers.add(() => stopped.close());
  const { host, data, blueprints, policy, ...parts } = given;
  return {
    stopped,
    config: parseGrowOptions({
      ...withGivenCode(stopped.file, { host, data, blueprints, policy }),
      ...(engine && { engine: engineToGoOn(engine, stopped) }),
      ...(threads !== undefined && { threads }),
      ...(checkpointEvery !== undefined && { checkpointEvery }),
      ...(featureCache !== undefined && { featureCache }),
      ...(timeLimit !== undefined && { timeLimit }),
      ...parts,
      runDir: stopped.path,
    }),
  };
}

/** The run that a run begins with: where it lies, or the copy of one that stopped before its first checkpoint. */
async function parentOf(config: GrowConfig, stopped: StoppedRun | undefined): Promise<RunParent | undefined> {
  const { from } = config;
  if (from === undefined || isOnnxFile(from) || stopped?.checkpoint) return undefined;
  if (!stopped) return platform.readParent(from, config);
  return platform.readKeptParent(stopped.path, stopped.file.parent ?? "");
}

function isOnGpu(engine: unknown): boolean {
  return engine === "gpu" || engine === "gpu:cuda";
}

/** Another engine would give other bits. A run that has lost its GPU goes on without rather than not at all, and says so. */
function engineToGoOn(engine: NonNullable<GrowOptions["engine"]>, { file }: StoppedRun): typeof engine {
  const name = typeof engine === "string" ? engine : engine.name;
  const began = file.config.engine;
  if (name === began || (isOnGpu(began) && (name === "native" || name === "wasm"))) return engine;
  throw new KasminaError("invalid_argument", `engine: the run began on ${file.config.engine}, got ${name}`);
}

/**
 * Opens and checks what is asked for.
 * @param closers close its data
 * @param began what a run that goes on, or is replayed, began with
 * @param parent the run whose network it begins with
 */
export async function askedRun(
  given: GrowConfig,
  closers: Closers,
  began?: RunFile,
  parent?: RunParent,
): Promise<AskedRun> {
  const openData: typeof platform.openData = async (...request) => {
    const opened = await platform.openData(...request);
    closers.add(() => opened.close?.());
    return opened;
  };
  const sources = await openSources(given, { ...platform, openData }, began?.data);
  if (began) checkCode(began.sources, sources.records);
  const { dataset } = sources;
  const batch = given.batch ?? Math.min(DEFAULT_BATCH, dataset.train.count);
  if (batch > dataset.train.count)
    throw new KasminaError(
      "invalid_argument",
      `batch ${batch} is larger than the ${dataset.train.count} training rows of ${dataset.name}`,
    );
  const config = { ...given, batch };
  const loss = lossOf(config, dataset);
  checkAugment(config, dataset);
  return {
    runId: began?.run_id ?? config.runId ?? `run-${globalThis.crypto.randomUUID()}`,
    config,
    sources,
    ...loss,
    limits: limitsOf(config),
    parent,
    lineage: lineageOf(config, sources, began, parent),
    inherits: parent && inherited(parent, sources, config.keepOptimizer ?? false),
    policy: config.growth ? policyFor(config, sources) : null,
    teacher:
      config.teacher === undefined
        ? undefined
        : await platform.readTeacher(config.teacher, config, sources, began?.teacher_sha256),
  };
}

function lineageOf(
  { from }: GrowConfig,
  { hostFileSha256 }: Sources,
  began: RunFile | undefined,
  parent: RunParent | undefined,
): Lineage | undefined {
  if (from === undefined) return undefined;
  if (parent) return { sha256: parent.sha256, runId: parent.runId };
  const sha256 = began?.parent ?? hostFileSha256;
  return sha256 === undefined ? undefined : { sha256, runId: began?.parent_run_id };
}

/** The limits of a run: the defaults, but for what was asked for. */
function limitsOf({ latencyBudget, stepShareBudget, limits = {} }: GrowConfig): KasminaConfig {
  const kernel = {
    ...limits.kernel,
    ...(latencyBudget !== undefined && { latencyBudgetMs: latencyBudget }),
    ...(stepShareBudget !== undefined && { stepShareBudget }),
  };
  return parseConfig({ ...limits, kernel });
}

/** An engine of one's own is its owner's to dispose. */
export async function openEngine({ engine, threads }: GrowConfig, closers: Closers) {
  if (typeof engine !== "string")
    return { backend: engine, reason: `${engine.name}: ${engine.description} (as given)` };
  const opened = await openBackend(engine, threads === undefined ? {} : { threads });
  closers.add(() => opened.backend.dispose());
  return opened;
}

async function openRun(asked: AskedRun, stopped: StoppedRun | undefined, closers: Closers): Promise<OpenRun> {
  const { config, runId } = asked;
  checkCatalogService(config);
  const notice = (text: string, always?: boolean): void => config.onNotice?.(text, always);
  const { backend, reason } = await openEngine(config, closers);
  const mutex = new Mutex();
  const recorded = stopped?.file.config ?? recordedConfig({ ...config, runId, engine: backend }, platform);
  const kept = await keep({ ...asked, recorded }, stopped, notice);
  closers.add(() => kept?.close());
  notice(`engine ${reason}`);
  notice(about(asked));
  if (stopped?.adopted !== undefined) notice(`adopted as a new run what was run ${stopped.adopted}`, true);
  if (stopped) notice(`resumed ${runId} at step ${stopped.checkpoint?.step ?? 0}`, true);
  if (stopped && !stopped.file.data) notice(UNKNOWN_DATA, true);
  const began = stopped?.file.config.engine;
  if (isOnGpu(began) && !isOnGpu(backend.name))
    notice(`the run began on ${began} and goes on on ${backend.name}: no replay will have its bits`, true);
  return {
    ...asked,
    backend,
    mutex,
    recorded,
    kept,
    stopped,
    tracer: config.tracer ?? openTracer(asked, backend, notice, closers),
    kernels: config.kernels ?? (await openKernels(asked, { backend, mutex }, kept, closers)),
  };
}

/** What is said before the first step, for until then nothing else is. */
function about({ sources: { dataset, host }, config }: AskedRun): string {
  const rows = `${dataset.train.count} rows to train on, ${dataset.heldOut.count} held out`;
  return `${dataset.name}: ${rows}; ${host.id}, ${config.epochs} epochs; preparing the first step`;
}

/** The folder of the run, or of the one that it goes on with. */
async function keep(
  { config, runId, sources, teacher, lineage, parent, recorded }: AskedRun & Pick<OpenRun, "recorded">,
  stopped: StoppedRun | undefined,
  onNotice: (text: string, always?: boolean) => void,
): Promise<KeptRun | undefined> {
  const { runDir, share = false } = config;
  const teacherSha256 = teacher?.sha256;
  const request = {
    runId,
    config: recorded,
    sources,
    teacherSha256,
    lineage,
    parent,
    stopped,
    share,
    onNotice,
  };
  if (stopped) return stopped.keep(request);
  return runDir === undefined ? undefined : platform.keepRun(runDir, request);
}

/** In parallel with training where another process can load host and blueprints. It is given no teacher. */
function openTracer(
  { sources, teacher }: AskedRun,
  backend: Backend,
  notice: (text: string) => void,
  closers: Closers,
): TopologyTracer | undefined {
  if (backend.name === "wasm" || backend.name === "webgpu" || teacher) return undefined;
  const target = backend.name === "gpu" ? "webgpu" : "cpu";
  const tracer = platform.openTracer(sources, target, (problem) =>
    notice(`a topology was traced on the training thread: ${problem}`),
  );
  if (typeof tracer === "string") {
    notice(`topologies are traced on the training thread: ${tracer}`);
    return undefined;
  }
  closers.add(() => tracer.close());
  return tracer;
}

/** Before anything is written. */
function checkCatalogService({ catalogService, catalogPort, catalog }: GrowConfig): void {
  if (!catalogService || (catalogPort && catalog !== undefined)) return;
  const problem = catalogPort
    ? "needs the folder that the service writes to: catalog"
    : "is for a run on a bus: kasmina grow --oona redis://…";
  const details = { key: "catalogService", problem };
  throw new KasminaError("invalid_argument", `catalogService ${problem}`, { details });
}

/** A run that nobody can germinate in needs no kernels. */
async function openKernels(
  { config, runId, limits, sources, policy }: AskedRun,
  training: Pick<OpenRun, "backend" | "mutex">,
  kept: KeptRun | undefined,
  closers: Closers,
): Promise<RunKernels | undefined> {
  if (!policy && !kept) return undefined;
  const kernels = await platform.openKernels({
    config,
    runId,
    limits,
    sources,
    folder: kept?.path,
    ...training,
  });
  closers.add(() => kernels?.close());
  return kernels;
}

/**
 * What is learned and judged by. Balanced weights are such that all rows of a class together count for as much as those of any other, and a
 * mean row for 1.
 * @throws KasminaError `invalid_argument` for an option that the task of the data has no use for
 */
function lossOf(config: GrowConfig, dataset: AnyDataset): Pick<RunSetup, "loss"> {
  const { classWeights, labelSmoothing, huberDelta } = config;
  const task = taskOf(dataset);
  checkThreshold(config, dataset);
  const isOfClasses = TASK_TRAITS[task].labels === "class";
  const stray = Object.entries({
    ...(!isOfClasses && { classWeights, labelSmoothing }),
    ...(task !== "regression" && { huberDelta }),
  }).find(([, value]) => value !== undefined);
  if (stray) {
    const problem = `has no place in a ${task}: it is for ${stray[0] === "huberDelta" ? "a regression" : "classes"}`;
    throw new KasminaError("invalid_argument", `${stray[0]} ${problem}`, {
      details: { key: stray[0], problem },
    });
  }
  const rowWeights = dataset.train.weights !== undefined && { rowWeights: true };
  if (!isOfClasses) return { loss: { task, ...(huberDelta !== undefined && { huberDelta }), ...rowWeights } };
  if (!classWeights && !labelSmoothing && !rowWeights) return {};
  return {
    loss: {
      ...rowWeights,
      ...(classWeights === "balanced" && { classWeights: balancedWeights(dataset) }),
      ...(labelSmoothing && { labelSmoothing }),
    },
  };
}

/** @throws KasminaError `invalid_argument` where the rows are no images */
function checkAugment({ augment }: GrowConfig, { name, inputShape, inputDType }: AnyDataset): void {
  if (!augment || (inputShape.length === 3 && inputDType === "float32")) return;
  const problem = `is for images, the rows of ${name} are [${inputShape}]`;
  throw new KasminaError("invalid_argument", `augment ${problem}`, { details: { key: "augment", problem } });
}

/** Before anything is trained: the threshold is chosen at the run's end. */
function checkThreshold({ threshold }: GrowConfig, dataset: AnyDataset): void {
  if (threshold === undefined) return;
  const task = taskOf(dataset);
  if (task !== "classification" || dataset.classes !== 2) {
    const problem = `is for a classification of two classes, the data are for a ${task} of ${dataset.classes}`;
    throw new KasminaError("invalid_argument", `threshold ${problem}`, {
      details: { key: "threshold", problem },
    });
  }
  const { labels, weights } = dataset.heldOut;
  if (new Set(labels.filter((_, row) => weights?.[row] !== 0)).size < 2)
    throw new KasminaError("invalid_data", "threshold: the held-out rows are all of one class");
}

function balancedWeights({ classes, train: { labels, count: rows, weights } }: AnyDataset): number[] {
  const counts = new Float64Array(classes);
  const positions = labels.length / rows;
  for (const [i, label] of labels.entries())
    counts[label] = (counts[label] ?? 0) + (weights?.[Math.floor(i / positions)] ?? 1);
  const present = counts.filter((count) => count > 0).length;
  const all = sum([...counts]);
  return Array.from(counts, (count) => (count === 0 ? 0 : all / (present * count)));
}

/** The run as its training takes it, before anyone listens to it or ties it to a folder. */
export function setupOf(
  run: AskedRun & Pick<OpenRun, "backend" | "mutex" | "kernels"> & Partial<Pick<OpenRun, "tracer">>,
): RunSetup {
  const { runId, sources, backend, mutex, policy, limits, tracer, kernels, teacher, inherits, config, loss } =
    run;
  const { host, blueprints, dataset } = sources;
  const { epochs, batch, optimizer, seed, lr, weightDecay } = config;
  const { schedule, warmup, clipNorm, patience, keep, hostGradient, augment, featureCache } = config;
  const { batches, absentInputs, clock, signal, reportEverySteps } = config;
  return {
    ...{ runId, host, blueprints, dataset, backend, mutex, policy, epochs, batch, optimizer, seed },
    config: limits,
    hyper: given({ learningRate: lr, weightDecay }),
    ...given({ schedule, warmup, clipNorm, patience, keep, hostGradient, augment, loss, teacher, inherits }),
    ...given({ featureCache, tracer, kernels, batches, absentInputs, clock, signal, reportEverySteps }),
  };
}

/** What is defined of it: what is left out has a default. */
function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const defined = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(defined) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
