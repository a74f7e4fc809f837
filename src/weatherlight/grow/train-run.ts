/**
 * One growth run, wired together: trainer, execution layer, policy and telemetry over a host, a dataset and a back
 * end. `grow()` builds these from its options.
 */

import { type Clock, KasminaError, messageOf, systemClock } from "../../base/index.js";
import {
  type AnyDataset,
  type BatchSource,
  type CommandOutcome,
  CommandSigner,
  isInMemory,
  KeyRing,
  type Score,
  sizeOf,
  TASK_TRAITS,
  type TelemetryPacket,
  taskOf,
} from "../../contracts/index.js";
import { type BatchOptions, OrderedBatches, ShuffledBatches } from "../../data/batches.js";
import { Kasmina, MemoryJournal, parseConfig, type Seed } from "../../kasmina/index.js";
import type { EvaluationResult } from "../../network/index.js";
import { builtinBlueprints, type Host, slotsOf } from "../../nn/index.js";
import type { Policy, Tamiyo } from "../../tamiyo/index.js";
import { OPTIMIZERS, Trainer, type TrainerCheckpoint } from "../../tolaria/index.js";
import { BuiltKernels, type BuiltKernelsOptions } from "../kernels/built-kernels.js";
import { CommandQueue, counted, joined } from "./command-queue.js";
import { defaultPolicy } from "./default-policy.js";
import { exclusive, Mutex } from "./mutex.js";
import type { RunControl, RunKernels } from "./ports.js";
import type { RunCheckpoint, RunOutcome, SeedOutcome } from "./run-outcome.js";
import type { RunSetup } from "./run-setup.js";
import { tamiyoFor } from "./run-tamiyo.js";
import { SeedGains } from "./seed-gains.js";

/** Rows of an evaluation batch, at most; the last one is padded. */
const EVALUATION_BATCH = 256;
/** Outputs of an evaluation batch, at most: each float32 of them is held several times (3,000 classes of characters took 2 GiB). */
const EVALUATION_OUTPUTS = 4 * 1_024 * 1_024;
/** Observations a run, if its steps allow: each evaluates the held-out rows and asks the policy. */
const OBSERVATIONS_PER_RUN = 60;
/** Fewer steps between two observations would measure noise. */
const MIN_STEPS_PER_OBSERVATION = 20;
const REPORTS_PER_EPOCH = 20;
/** Any time will do. */
const KEEP_ALIVE_MS = 60_000;

/** Trains and grows a host to the end of the run. */
export async function trainRun(options: RunSetup): Promise<RunOutcome> {
  const { dataset, clock = systemClock } = options;
  let checkpoint: RunCheckpoint | undefined;
  const startMs = clock.monotonicMs();
  const pace = new Pace(clock);
  const onLoss = (step: number, loss: number): void => {
    pace.stepped();
    options.onLoss?.(step, loss);
  };
  const run = await assemble({ ...options, onLoss }, async (taken) => {
    checkpoint = checkpointOf(run, taken);
    await options.onCheckpoint?.(checkpoint);
  });
  // Timers of the clock keep no process alive; a run that waits for a kernel must not end for want of anything else to do.
  const alive = setInterval(() => undefined, KEEP_ALIVE_MS);
  try {
    const result = await run.trainer.run();
    run.kasmina.reportEnd(run.trainer.position);
    const endMs = clock.monotonicMs();
    const test = result.end === "aborted" ? undefined : await evaluateTest(run.trainer, dataset);
    const after = await run.trainer.checkpoint();
    checkpoint ??= checkpointOf(run, after);
    return {
      ...result,
      flopsTotal: after.flopsTotal,
      ...(after.flopsByPart && { flopsByPart: after.flopsByPart }),
      accuracy: test ? accuracyIn(test.score) : Number.NaN,
      testLoss: test?.loss.value ?? Number.NaN,
      wallSeconds: (endMs - startMs) / 1_000,
      stepsPerSecond: pace.between(startMs, endMs),
      seeds: checkpoint.seeds,
      commands: run.counts,
      isolation: { ...run.kasmina.isolation },
      checkpoint,
    };
  } finally {
    clearInterval(alive);
    run.kasmina.close();
    await run.trainer.dispose();
  }
}

/** NaN where the task has none. */
export function accuracyIn({ name, value }: Score): number {
  return name === "accuracy" ? value : Number.NaN;
}

/** Rows of an evaluation batch: fewer where a row has very many outputs. */
export function evaluationBatchOf(dataset: AnyDataset): number {
  const { classes, heldOut } = dataset;
  const labels = sizeOf(heldOut.labelShape);
  const outputs = TASK_TRAITS[taskOf(dataset)].labels === "values" ? labels : classes * labels;
  return Math.max(1, Math.min(EVALUATION_BATCH, Math.floor(EVALUATION_OUTPUTS / outputs)));
}

/** How fast steps come, once they come. */
class Pace {
  readonly #clock: Clock;
  #firstMs: number | undefined;
  #steps = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A step has ended. */
  stepped(): void {
    this.#firstMs ??= this.#clock.monotonicMs();
    this.#steps++;
  }

  /** Steps a second from the end of the first one on; where there was one at most, from the start on. */
  between(startMs: number, endMs: number): number {
    const [steps, fromMs] =
      this.#steps > 1 && this.#firstMs !== undefined
        ? [this.#steps - 1, this.#firstMs]
        : [this.#steps, startMs];
    return (1_000 * steps) / (endMs - fromMs);
  }
}

/** @throws KasminaError `loss_not_finite` where the network is wrecked: a figure of it would be none */
async function evaluateTest(trainer: Trainer, dataset: AnyDataset): Promise<EvaluationResult> {
  const { test, inputShape } = dataset;
  const result = await trainer.evaluate(new OrderedBatches(test, inputShape, evaluationBatchOf(dataset)));
  const { value } = result.loss;
  if (Number.isFinite(value)) return result;
  throw new KasminaError(
    "loss_not_finite",
    `the trained network is wrecked: its loss on the test rows is ${value}; a smaller learning rate may help`,
  );
}

/** @throws KasminaError `invalid_argument` for batches of one's own over data that do not lie in memory */
function batchesOf({ batches, dataset }: RunSetup, order: BatchOptions): BatchSource {
  if (!batches) return new ShuffledBatches(dataset, order);
  if (isInMemory(dataset)) return batches(dataset, order);
  throw new KasminaError("invalid_argument", `batches take data in memory, and ${dataset.name} is on disk`);
}

function checkpointOf(run: AssembledRun, checkpoint: TrainerCheckpoint): RunCheckpoint {
  const { kasmina, tamiyo } = run;
  return {
    ...checkpoint,
    policy: tamiyo?.policy.snapshot() ?? null,
    commandsSent: tamiyo?.sent ?? 0,
    heldOutLoss: run.gains.heldOutLoss,
    commands: { ...run.counts },
    seeds: kasmina.seeds().map((seed) => describeSeed(run, seed, checkpoint.step)),
  };
}

function describeSeed({ kasmina, gains }: AssembledRun, seed: Seed, step: number): SeedOutcome {
  return { seed, alpha: kasmina.alphaOf(seed, step), ...gains.of(seed.id) };
}

interface AssembledRun {
  readonly trainer: Trainer;
  readonly kasmina: Kasmina;
  readonly tamiyo: Tamiyo | undefined;
  readonly counts: { accepted: number; rejected: number };
  readonly gains: SeedGains;
}

async function assemble(
  options: RunSetup,
  onCheckpoint: (checkpoint: TrainerCheckpoint) => Promise<void>,
): Promise<AssembledRun> {
  const {
    runId,
    host,
    dataset,
    backend,
    batch,
    seed = 0,
    clock = systemClock,
    blueprints = builtinBlueprints,
  } = options;
  const { mutex = new Mutex() } = options;
  const keys = options.keys ?? ownKeys();
  const counts = { ...(options.resume?.commands ?? { accepted: 0, rejected: 0 }) };
  const count = ({ status }: CommandOutcome): void => {
    if (status === "applied") counts.accepted++;
    else counts.rejected++;
  };
  const commands = new CommandQueue(count);
  const kernels = kernelsFor(options, { blueprints, backend, mutex, batch, seed });
  const config = options.config ?? parseConfig();
  const journal = options.journal ?? new MemoryJournal();
  const kasmina = new Kasmina({
    trainingRunId: runId,
    slots: slotsOf(host),
    blueprints,
    config,
    clock,
    keys,
    telemetry: { emit: (packet) => forward(packet, options) },
    kernels,
    replay: options.replay ?? false,
    journal,
    ...(options.inherits && { inherited: options.inherits.seeds }),
  });
  reportKernels(kernels, kasmina);
  const policy = options.policy === undefined ? defaultPolicy(host, blueprints) : options.policy;
  const signer = new CommandSigner({ keys, clock });
  await prewarm(kernels, policy, host, kasmina);
  const order = { batch, seed, augment: options.augment };
  const train = batchesOf(options, order);
  const optimizer = OPTIMIZERS[options.optimizer ?? "adam"];
  const { lr: learningRate, ...defaults } = optimizer.defaults;
  const everySteps = observeEverySteps(train.stepsPerEpoch, options.epochs);
  const evaluationBatch = evaluationBatchOf(dataset);
  const tamiyo = tamiyoFor(policy, {
    options,
    blueprints,
    optimizer,
    kasmina,
    commands,
    signer,
    keys,
    clock,
    stepsPerEpoch: train.stepsPerEpoch,
    observeEverySteps: everySteps,
    evaluationBatch,
  });
  const gains = new SeedGains();
  if (options.resume) restore(options.resume, tamiyo, gains);
  const trainer = new Trainer({
    trainingRunId: runId,
    host,
    blueprints,
    backend: exclusive(backend, mutex),
    kasmina,
    commands: options.commands ? joined([commands, counted(options.commands, count)]) : commands,
    train,
    heldOut: new OrderedBatches(dataset.heldOut, dataset.inputShape, evaluationBatch),
    epochs: options.epochs,
    optimizer,
    hyper: { learningRate, ...defaults, ...options.hyper },
    schedule: options.schedule,
    warmup: options.warmup,
    seed,
    observeEverySteps: everySteps,
    reportEverySteps: options.reportEverySteps ?? Math.ceil(train.stepsPerEpoch / REPORTS_PER_EPOCH),
    clock,
    onState: (state) => {
      gains.observe(state, (id) => kasmina.seed(id) !== undefined);
      options.onObservation?.(state);
      tamiyo?.observe(state);
    },
    tracer: options.tracer,
    candidates: policy?.candidates ?? [],
    ...(options.hostGradient && { hostGradient: options.hostGradient }),
    loss: options.loss,
    clipNorm: options.clipNorm,
    ...(options.featureCache !== undefined && { maxFeatureBytes: options.featureCache * 2 ** 20 }),
    patience: options.patience,
    keep: options.keep,
    timeLimitMs: options.timeLimitMs,
    onCheckpoint: async (taken) => {
      // A journal of the run's own serves its nonces alone: it ends with the process, and must not outgrow it.
      if (!options.journal)
        journal.compact(taken.kasmina.journalSequence + 1, clock.nowMs() - config.nonceLedger.ttlMs);
      await onCheckpoint(taken);
    },
    checkpointEvery: options.checkpointEvery,
    readCheckpoint: options.readCheckpoint,
    inherits: options.inherits,
    resume: options.resume,
    teacher: options.teacher,
    signal: options.signal,
    until: options.until,
    onLoss: options.onLoss,
    onStep: options.onStep,
    onEpoch: options.onEpoch,
  });
  options.onControl?.(controlOf(options, kasmina, commands, trainer));
  return { trainer, kasmina, tamiyo, counts, gains };
}

/**
 * Before the first step, and before a resumed run asks again for kernels that were on their way: so that no deadline
 * and no gate of a run hangs on how long it takes to get going.
 */
async function prewarm(
  kernels: RunKernels,
  policy: Policy | null,
  host: Host,
  kasmina: Kasmina,
): Promise<void> {
  const shapes = slotsOf(host).map(({ shape }) => shape);
  for (const candidate of policy?.candidates ?? [])
    await kernels.prewarm([candidate], shapes).catch((error: unknown) => {
      // A kernel that cannot be built fails when it is asked for: the seed, not the run.
      const attributes = { blueprint_id: candidate.id, problem: messageOf(error) };
      kasmina.telemetry.event(undefined, "dependency_violation", "ERROR", attributes);
    });
}

/** A key that nobody else has. */
function ownKeys(): KeyRing {
  return new KeyRing([{ id: "run", secret: globalThis.crypto.getRandomValues(new Uint8Array(32)) }]);
}

function controlOf(
  { runId, epochs }: RunSetup,
  kasmina: Kasmina,
  commands: CommandQueue,
  trainer: Trainer,
): RunControl {
  return {
    send: (envelope, onOutcome) => commands.send(envelope, onOutcome),
    status: () => ({
      trainingRunId: runId,
      incarnation: kasmina.incarnation,
      ...trainer.position,
      epochs,
      emergency: kasmina.emergency ?? null,
      ...kasmina.describe(trainer.position.step),
    }),
  };
}

function kernelsFor({ kernels }: RunSetup, own: BuiltKernelsOptions): RunKernels {
  return kernels ?? new BuiltKernels(own);
}

/** What happens to a seed's request is reported of the seed, as long as there is one. */
function reportKernels(kernels: RunKernels, kasmina: Kasmina): void {
  kernels.listen?.(({ seedId, name, level, attributes }, metrics) => {
    const seed = seedId === undefined ? undefined : kasmina.seed(seedId);
    const subject = seed && seed.stage !== "DORMANT" ? seed.id : undefined;
    kasmina.telemetry.event(subject, name, level, attributes);
    for (const metric of metrics)
      kasmina.telemetry.gauge(undefined, metric.name, metric.value, metric.labels);
  });
}

function restore(checkpoint: RunCheckpoint, tamiyo: Tamiyo | undefined, gains: SeedGains): void {
  tamiyo?.policy.restore(checkpoint.policy);
  tamiyo?.restoreSent(checkpoint.commandsSent);
  gains.restore(checkpoint);
}

function observeEverySteps(stepsPerEpoch: number, epochs: number): number {
  const spread = Math.ceil((stepsPerEpoch * epochs) / OBSERVATIONS_PER_RUN);
  return Math.min(stepsPerEpoch, Math.max(MIN_STEPS_PER_OBSERVATION, spread));
}

function forward(packet: TelemetryPacket, { onEvent, onPacket }: RunSetup): void {
  onPacket?.(packet);
  if (onEvent) for (const event of packet.events) onEvent(event, packet);
}
