/** A growth run from its configuration: opens data, engine and run folder, trains, compares, reports. */
import { KasminaError } from "../base/index.js";
import type { Dataset, TelemetryEvent, TelemetryPacket } from "../contracts/index.js";
import { openDataset } from "../data/index.js";
import { type Backend, openBackend } from "../engine/index.js";
import { checkTeacher, parseConfig } from "../kasmina/index.js";
import { builtinBlueprints, createHost, type Host, slotsOf } from "../nn/index.js";
import { PlateauPolicy, type Policy } from "../tamiyo/index.js";
import type { TeacherOptions } from "../tolaria/index.js";
import { RunFolder } from "../tolaria/run-folder.node.js";
import { WorkerTracer } from "../tolaria/worker-tracer.node.js";
import { readGrownNetwork } from "./export-run.js";
import { defaultPolicy, type GrowCheckpoint, type GrowOptions, type GrowResult, grow } from "./grow.js";
import { type GrowthConfig, parseGrowthConfig } from "./growth-config.js";
import type { GrowthCallbacks, GrowthLine, Phase, Summary } from "./growth-lines.js";
import { isResume, readStoppedRun } from "./resume.js";
import { RunAccess } from "./run-access.js";
import { openRunKernels } from "./run-kernels.js";
import { AlphaChanges, decisionRecord, observationRecord, type RunRecordLine } from "./run-records.js";
import { jsonOf, reportSeed, type SavedRun, toSaved } from "./saved-checkpoint.js";
import type { ThreadKernels } from "./thread-kernels.js";

/** What a configuration comes to, once its data and engine are open. */
interface OpenRun {
  readonly runId: string;
  readonly config: GrowthConfig;
  readonly dataset: Dataset;
  readonly host: Host;
  readonly backend: Backend;
  readonly tracer: WorkerTracer | undefined;
  readonly policy: Policy | null;
  readonly teacher: TeacherOptions | undefined;
  readonly kernels: ThreadKernels | undefined;
  /** Undefined where the run has no folder. */
  readonly access: RunAccess | undefined;
  /** Where a stopped run goes on. */
  readonly resume: GrowCheckpoint | undefined;
  readonly signal: AbortSignal | undefined;
  readonly tell: (line: GrowthLine) => void;
  /** Into the run folder alone. */
  readonly record: (line: RunRecordLine) => void;
}

/** As {@link GrowthRunner} says. */
export async function runGrowth(options: unknown, callbacks: GrowthCallbacks = {}): Promise<Summary> {
  const resumed = isResume(options) ? await readStoppedRun(options) : undefined;
  const config = resumed?.config ?? parseGrowthConfig(options);
  const runId = config.runId ?? `run-${globalThis.crypto.randomUUID()}`;
  const dataset = await openDataset(config.data);
  const host = createHost(config.host, dataset);
  const policy = config.growth ? policyFor(config, host) : null;
  const teacher = config.teacher === undefined ? undefined : await readTeacher(config.teacher, config, host);
  checkBatch(config, dataset);
  const { backend, reason } = await openBackend(
    config.engine,
    config.threads === undefined ? {} : { threads: config.threads },
  );
  const folder = resumed
    ? await RunFolder.reopen(resumed.path)
    : await newFolder({ ...config, runId, engine: backend.name });
  const tell = (line: GrowthLine): void => {
    if (line.type !== "step") folder?.append(line);
    callbacks.onLine?.(line);
  };
  const record = (line: RunRecordLine): void => folder?.append(line);
  // The tracing thread is told of no teacher: with one, topologies are traced on this thread.
  const tracer = backend.name === "native" && !teacher ? traceBeside(config, dataset, tell) : undefined;
  let access: RunAccess | undefined;
  let kernels: ThreadKernels | undefined;
  try {
    access = folder && new RunAccess(folder.path, runId, (text) => tell({ type: "notice", text }));
    tell({ type: "notice", text: `engine ${reason}` });
    if (resumed) tell({ type: "notice", text: `resumed ${runId} at step ${resumed.checkpoint.step}` });
    // A run that nobody can germinate in needs no kernels.
    if (policy || access) kernels = await openRunKernels(config, runId, folder?.path);
    return await train(
      {
        runId,
        config,
        dataset,
        host,
        backend,
        tracer,
        kernels,
        policy,
        teacher,
        access,
        resume: resumed?.checkpoint,
        signal: callbacks.signal,
        tell,
        record,
      },
      folder,
    );
  } finally {
    await kernels?.close();
    await access?.close();
    await tracer?.close();
    folder?.close();
    await backend.dispose();
  }
}

/** The grown network of another run, frozen. */
async function readTeacher(
  path: string,
  { distillTemperature, distillWeight }: GrowthConfig,
  host: Host,
): Promise<TeacherOptions> {
  const { topology, parameters, blendWeights, metadata } = await readGrownNetwork(path);
  const teacher = { id: metadata.training_run_id ?? path, topology };
  checkTeacher(teacher, host);
  const tensors = { ...parameters, ...blendWeights };
  return { ...teacher, tensors, temperature: distillTemperature, weight: distillWeight };
}

async function newFolder(config: GrowthConfig): Promise<RunFolder | undefined> {
  if (config.runDir === undefined) return undefined;
  return RunFolder.create(config.runDir, { run_id: config.runId ?? "", config: jsonOf(config) });
}

/** The host's module, by its URL: a thread of its own makes the same host and traces its topologies. */
function traceBeside(
  { host }: GrowthConfig,
  { inputShape, inputDType, classes }: Dataset,
  tell: (line: GrowthLine) => void,
): WorkerTracer {
  const module = new URL("../nn/index.js", import.meta.url).href;
  return new WorkerTracer({
    host: { module, name: "createHost", args: [host, { inputShape, inputDType, classes }] },
    onFallback: (problem) =>
      tell({ type: "notice", text: `a topology was traced on the training thread: ${problem}` }),
  });
}

/** The host alone comes last, so that a run which is stopped has grown as far as it could. */
async function train(run: OpenRun, folder: RunFolder | undefined): Promise<Summary> {
  const { config } = run;
  const result = await grow({
    ...growOptions(run, "grow"),
    ...(run.access && { keys: run.access.keys, journal: run.access.journal, onControl: run.access.listen }),
    ...(run.resume && { resume: run.resume }),
    onLoss: (step, loss) => folder?.recordLoss(step, loss),
    onCheckpoint: async (checkpoint) => {
      await folder?.writeCheckpoint(toSaved(savedRun(run), checkpoint));
      run.access?.checkpointed(checkpoint.kasmina.journalSequence, parseConfig().nonceLedger.ttlMs);
    },
  });
  if (result.end === "aborted") throw stopped(`after ${result.steps} steps`, folder);
  const alone =
    config.compare && config.growth
      ? await grow({ ...growOptions(run, "host_alone"), policy: null })
      : undefined;
  if (alone?.end === "aborted") throw stopped("while the host was trained alone", folder);
  const summary = summarize(run, result, alone);
  run.tell(summary);
  await folder?.writeSummary(summary);
  return summary;
}

function stopped(when: string, folder: RunFolder | undefined): KasminaError {
  const where = folder
    ? `the checkpoint is in ${folder.checkpointPath}`
    : "no run folder, so nothing was kept";
  return new KasminaError("canceled", `stopped ${when}; ${where}`);
}

function growOptions(
  { runId, config, dataset, host, backend, tracer, kernels, policy, teacher, signal, tell, record }: OpenRun,
  phase: Phase,
): GrowOptions {
  const alphas = new AlphaChanges();
  return {
    runId,
    host,
    dataset,
    backend,
    epochs: config.epochs,
    batch: config.batch,
    optimizer: config.optimizer,
    ...(config.lr !== undefined && { hyper: { learningRate: config.lr } }),
    seed: config.seed,
    policy,
    ...(teacher && { teacher }),
    ...(tracer && { tracer }),
    ...(kernels && { kernels }),
    ...(signal && { signal }),
    onStep: ({ step, stepsTotal, epoch, loss, seeds }) =>
      tell({
        type: "step",
        phase,
        step,
        steps_total: stepsTotal,
        epoch,
        loss,
        seeds: seeds.map(({ id, stage, alpha }) => ({ id, stage, alpha })),
      }),
    onEpoch: ({ epoch, trainLoss, heldOut }) =>
      tell({
        type: "epoch",
        phase,
        epoch,
        train_loss: trainLoss,
        val_loss: heldOut.loss.value,
        val_accuracy: heldOut.accuracy,
      }),
    onEvent: (event, packet) => tell(eventLine(event, packet)),
    onPacket: (packet) => {
      const change = alphas.in(packet);
      if (change) record(change);
    },
    onObservation: (state) => record(observationRecord(state, phase)),
    onDecision: (decision, state) => record(decisionRecord(decision, state)),
  };
}

/** Type, name and level come first, and no attribute can take their place. */
function eventLine(
  { name, level, attributes }: TelemetryEvent,
  { seedId, step }: TelemetryPacket,
): GrowthLine {
  const head = { type: "event", name, level } as const;
  const seed = seedId === undefined ? {} : { seed_id: seedId };
  return { ...head, ...seed, step, ...attributes, ...head };
}

function policyFor(config: GrowthConfig, host: Host): Policy {
  const known = slotsOf(host).map(({ id }) => id);
  const unknown = config.slots?.find((slot) => !known.includes(slot));
  if (unknown !== undefined) {
    throw new KasminaError(
      "invalid_argument",
      `slots: host ${host.id} has no slot ${unknown}; it has ${known.join(", ")}`,
    );
  }
  const epoch = /^epoch:(\d+)$/.exec(config.policy)?.[1];
  if (config.blueprint === "auto" && config.slots === undefined && epoch === undefined)
    return defaultPolicy(host, builtinBlueprints);
  return new PlateauPolicy({
    blueprints: [{ id: blueprintFor(config, host), parameters: {} }],
    ...(config.slots && { slots: config.slots }),
    ...(epoch !== undefined && { germinateAtEpoch: Number(epoch) - 1 }),
  });
}

function blueprintFor(config: GrowthConfig, host: Host): string {
  const shapes = slotsOf(host)
    .filter(({ id }) => config.slots?.includes(id) ?? true)
    .map(({ shape }) => shape);
  if (config.blueprint === "auto") return shapes[0]?.length === 3 ? "conv-residual" : "mlp-residual";
  const blueprint = builtinBlueprints.get(config.blueprint);
  if (shapes.some((shape) => blueprint.supports(shape))) return blueprint.id;
  throw new KasminaError(
    "invalid_argument",
    `blueprint ${blueprint.id} does not fit any slot of host ${host.id}, whose activations are of shape [${shapes[0]}]`,
  );
}

function checkBatch(config: GrowthConfig, dataset: Dataset): void {
  if (config.batch <= dataset.train.count) return;
  throw new KasminaError(
    "invalid_argument",
    `batch ${config.batch} is larger than the ${dataset.train.count} training rows of ${dataset.name}`,
  );
}

function savedRun({ runId, config, host }: OpenRun): SavedRun {
  const blocks = host.blocks.map(({ name, outputShape, slot = false }) => ({
    name,
    output_shape: [...outputShape],
    slot,
  }));
  return {
    runId,
    config: jsonOf(config),
    host: {
      id: host.id,
      input_shape: [...host.inputShape],
      input_dtype: host.inputDType,
      classes: host.classes,
      blocks,
    },
  };
}

function summarize(
  { runId, config, backend }: OpenRun,
  result: GrowResult,
  alone: GrowResult | undefined,
): Summary {
  return {
    type: "summary",
    run_id: runId,
    engine: backend.name,
    seed: config.seed,
    host: config.host,
    data: config.data,
    epochs: config.epochs,
    accuracy_host_alone: alone?.accuracy ?? null,
    accuracy: result.accuracy,
    params_host: result.paramsHost,
    params_total: result.paramsTotal,
    flops_total: result.flopsTotal,
    steps_per_s: result.steps / result.wallSeconds,
    wall_s: result.wallSeconds + (alone?.wallSeconds ?? 0),
    seeds: result.seeds.map(reportSeed),
    commands: result.commands,
    isolation: {
      violations: result.isolation.violations,
      max_leak_ratio: result.isolation.maxLeakRatio,
      max_cosine: result.isolation.maxCosine,
    },
  };
}
