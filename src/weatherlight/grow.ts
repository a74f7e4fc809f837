/**
 * One growth run, wired together: trainer, execution layer, policy and telemetry over a host, a dataset and a back
 * end. `runGrowth` builds these from a configuration; a library user hands in their own.
 */
import { type Clock, systemClock } from "../base/index.js";
import {
  type BatchSource,
  type CommandOutcome,
  CommandSigner,
  type CommandSource,
  type Dataset,
  KeyRing,
  type SystemState,
  type TelemetryEvent,
  type TelemetryPacket,
} from "../contracts/index.js";
import { type BatchOptions, OrderedBatches, ShuffledBatches } from "../data/index.js";
import type { Backend } from "../engine/index.js";
import {
  type CommandJournal,
  Kasmina,
  type KasminaConfig,
  MemoryJournal,
  parseConfig,
  type Seed,
  type Topology,
} from "../kasmina/index.js";
import { type BlueprintRegistry, builtinBlueprints, type Host, slotsOf } from "../nn/index.js";
import type { Decision, Policy, Tamiyo } from "../tamiyo/index.js";
import {
  type CheckpointReader,
  type EpochReport,
  type HyperParameters,
  OPTIMIZERS,
  type OptimizerId,
  type ScheduleId,
  type StepReport,
  type StopPlace,
  type TeacherOptions,
  type TopologyTracer,
  Trainer,
  type TrainerCheckpoint,
  type TrainingEnd,
} from "../tolaria/index.js";
import { BuiltKernels, type BuiltKernelsOptions } from "./built-kernels.js";
import { CommandQueue, counted, joined } from "./command-queue.js";
import type { RunControl } from "./control-server.js";
import { defaultPolicy } from "./default-policy.js";
import type { RunKernels } from "./kernel-service.js";
import { tamiyoFor } from "./run-tamiyo.js";
import { Turns, takingTurns } from "./turns.js";

/** Rows of an evaluation batch; the last one is padded. */
const EVALUATION_BATCH = 256;
/** Observations a run, if its steps allow: each evaluates the held-out rows and asks the policy. */
const OBSERVATIONS_PER_RUN = 60;
/** Fewer steps between two observations would measure noise. */
const MIN_STEPS_PER_OBSERVATION = 20;
const REPORTS_PER_EPOCH = 20;
/** Any time will do. */
const KEEP_ALIVE_MS = 60_000;

export interface GrowOptions {
  readonly runId: string;
  readonly host: Host;
  readonly dataset: Dataset;
  readonly backend: Backend;
  /** Traces new topologies beside the training; default: on this thread, between two steps. */
  readonly tracer?: TopologyTracer;
  readonly epochs: number;
  /** Rows a step. */
  readonly batch: number;
  readonly optimizer?: OptimizerId;
  /** What is left out is the optimizer's default. */
  readonly hyper?: Partial<HyperParameters>;
  readonly schedule?: ScheduleId;
  /** Whether the host below a BLENDING seed waits (`detach`, the default) or goes on learning (`flow`). */
  readonly hostGradient?: Topology["hostGradient"];
  /** A frozen network to learn from, beside the labels. Default: none. */
  readonly teacher?: TeacherOptions;
  /** Everything random follows from it. Default 0. */
  readonly seed?: number;
  /** Default: {@link PlateauPolicy} over every blueprint that fits; null trains the host alone. */
  readonly policy?: Policy | null;
  readonly blueprints?: BlueprintRegistry;
  readonly config?: KasminaConfig;
  /** Training batches. Default: {@link ShuffledBatches}. */
  readonly batches?: (dataset: Dataset, options: BatchOptions) => BatchSource;
  /** Commands beside those of the policy and of `onControl`. Default: none. */
  readonly commands?: CommandSource;
  /** Where kernels come from. Default: built in this thread, without a catalog. */
  readonly kernels?: RunKernels;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
  /** Ends the run there as the signal would. */
  readonly until?: StopPlace;
  /** Commands are signed and verified with these. Default: one key of the run's own, known to nobody else. */
  readonly keys?: KeyRing;
  /** Default: in memory. */
  readonly journal?: CommandJournal;
  /** Does every command of `journal` again, at the steps at which it was accepted. Default false. */
  readonly replay?: boolean;
  /** Hears, before the first step, how others than the policy reach this run. */
  readonly onControl?: (control: RunControl) => void;
  /** Hears the loss of every step, by the step's number from 0. */
  readonly onLoss?: (step: number, loss: number) => void;
  /** Steps between reports. Default: 20 an epoch. */
  readonly reportEverySteps?: number;
  readonly onStep?: (report: StepReport) => void;
  readonly onEpoch?: (report: EpochReport) => void | Promise<void>;
  /** Every event, with the packet it came in: that names the seed and the step. */
  readonly onEvent?: (event: TelemetryEvent, packet: TelemetryPacket) => void;
  /** At the end of each epoch, and where the run ends early. */
  readonly onCheckpoint?: (checkpoint: GrowCheckpoint) => Promise<void>;
  /** What a rollback to the checkpoint returns to. Default: nothing. */
  readonly readCheckpoint?: CheckpointReader;
  /** Goes on from a checkpoint of the same run, which then ends as if it had never stopped. */
  readonly resume?: GrowCheckpoint;
  readonly onPacket?: (packet: TelemetryPacket) => void;
  /** Every observation, before the policy sees it. */
  readonly onObservation?: (state: SystemState) => void;
  /** Every decision of the policy, with what it saw. */
  readonly onDecision?: (decision: Decision, state: SystemState) => void;
}

/** Everything a run needs to go on, or to be looked at. */
export interface GrowCheckpoint extends TrainerCheckpoint {
  /** What the policy remembers; null without one. */
  readonly policy: unknown;
  /** Commands that the policy has sent. */
  readonly commandsSent: number;
  readonly commands: { readonly accepted: number; readonly rejected: number };
  readonly seeds: readonly GrownSeed[];
}

/** A seed as a report tells of it. */
export interface GrownSeed {
  readonly seed: Seed;
  readonly alpha: number;
  /** Last measured while it trained; null where it never was. */
  readonly shadowGain: number | null;
  /** Last measured while it was blended; null where it never was. */
  readonly contribution: number | null;
}

export interface GrowResult {
  readonly end: TrainingEnd;
  /** On the test set, as is `testLoss`; both NaN where the run was aborted. */
  readonly accuracy: number;
  readonly testLoss: number;
  readonly steps: number;
  readonly paramsHost: number;
  readonly paramsTotal: number;
  readonly flopsTotal: number;
  /** Wall-clock seconds of training, evaluations included. */
  readonly wallSeconds: number;
  readonly seeds: readonly GrownSeed[];
  readonly commands: { readonly accepted: number; readonly rejected: number };
  /** Violations of this run, and the worst that the isolation monitor read. */
  readonly isolation: {
    readonly violations: number;
    readonly maxLeakRatio: number;
    readonly maxCosine: number;
  };
  readonly checkpoint: GrowCheckpoint;
}

/** Trains and grows a host to the end of the run. */
export async function grow(options: GrowOptions): Promise<GrowResult> {
  const { dataset, clock = systemClock } = options;
  let checkpoint: GrowCheckpoint | undefined;
  const startMs = clock.monotonicMs();
  const run = await assemble(options, async (taken) => {
    checkpoint = checkpointOf(run, taken);
    await options.onCheckpoint?.(checkpoint);
  });
  // Timers of the clock keep no process alive; a run that waits for a kernel must not end for want of anything else to do.
  const alive = setInterval(() => undefined, KEEP_ALIVE_MS);
  try {
    const result = await run.trainer.run();
    const wallSeconds = (clock.monotonicMs() - startMs) / 1_000;
    const test = result.end === "aborted" ? undefined : await evaluateTest(run.trainer, dataset);
    const after = await run.trainer.checkpoint();
    checkpoint ??= checkpointOf(run, after);
    return {
      ...result,
      flopsTotal: after.flopsTotal,
      accuracy: test?.accuracy ?? Number.NaN,
      testLoss: test?.loss.value ?? Number.NaN,
      wallSeconds,
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

function evaluateTest(trainer: Trainer, { test, inputShape }: Dataset) {
  return trainer.evaluate(new OrderedBatches(test, inputShape, EVALUATION_BATCH));
}

function checkpointOf(run: AssembledRun, checkpoint: TrainerCheckpoint): GrowCheckpoint {
  const { kasmina, tamiyo } = run;
  return {
    ...checkpoint,
    policy: tamiyo?.policy.snapshot() ?? null,
    commandsSent: tamiyo?.sent ?? 0,
    commands: { ...run.counts },
    seeds: kasmina.seeds().map((seed) => describeSeed(run, seed, checkpoint.step)),
  };
}

interface AssembledRun {
  readonly trainer: Trainer;
  readonly kasmina: Kasmina;
  readonly tamiyo: Tamiyo | undefined;
  readonly counts: { accepted: number; rejected: number };
  /** The last gains seen of each seed. */
  readonly gains: Map<string, { shadowGain: number | null; contribution: number | null }>;
}

async function assemble(
  options: GrowOptions,
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
  const turns = new Turns();
  const keys = options.keys ?? ownKeys();
  const counts = { ...(options.resume?.commands ?? { accepted: 0, rejected: 0 }) };
  const count = ({ status }: CommandOutcome): void => {
    if (status === "applied") counts.accepted++;
    else counts.rejected++;
  };
  const commands = new CommandQueue(count);
  const kernels = kernelsFor(options, { blueprints, backend, turns, batch, seed });
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
  });
  tellOfKernels(kernels, kasmina);
  const policy = options.policy === undefined ? defaultPolicy(host, blueprints) : options.policy;
  const signer = new CommandSigner({ keys, clock });
  await prewarm(kernels, policy, host).catch((error: unknown) => {
    kasmina.close();
    throw error;
  });
  const train = options.batches?.(dataset, { batch, seed }) ?? new ShuffledBatches(dataset, { batch, seed });
  const optimizer = OPTIMIZERS[options.optimizer ?? "adam"];
  const { lr: learningRate, ...defaults } = optimizer.defaults;
  const everySteps = observeEverySteps(train.stepsPerEpoch, options.epochs);
  const tamiyo = tamiyoFor(policy, {
    options,
    blueprints,
    optimizer,
    kasmina,
    commands,
    signer,
    stepsPerEpoch: train.stepsPerEpoch,
    observeEverySteps: everySteps,
    evaluationBatch: EVALUATION_BATCH,
  });
  const gains: AssembledRun["gains"] = new Map();
  if (options.resume) restorePolicy(options.resume, tamiyo, gains);
  const trainer = new Trainer({
    trainingRunId: runId,
    host,
    blueprints,
    backend: takingTurns(backend, turns),
    kasmina,
    commands: options.commands ? joined([commands, counted(options.commands, count)]) : commands,
    train,
    heldOut: new OrderedBatches(dataset.heldOut, dataset.inputShape, EVALUATION_BATCH),
    epochs: options.epochs,
    optimizer,
    hyper: { learningRate, ...defaults, ...options.hyper },
    schedule: options.schedule ?? "cosine",
    seed,
    observeEverySteps: everySteps,
    reportEverySteps: options.reportEverySteps ?? Math.ceil(train.stepsPerEpoch / REPORTS_PER_EPOCH),
    clock,
    onState: (state) => {
      rememberGains(gains, state, kasmina);
      options.onObservation?.(state);
      tamiyo?.observe(state);
    },
    tracer: options.tracer,
    candidates: policy?.candidates ?? [],
    ...(options.hostGradient && { hostGradient: options.hostGradient }),
    onCheckpoint: async (taken) => {
      // A journal of the run's own serves its nonces alone: it ends with the process, and must not outgrow it.
      if (!options.journal)
        journal.compact(taken.kasmina.journalSequence + 1, clock.nowMs() - config.nonceLedger.ttlMs);
      await onCheckpoint(taken);
    },
    readCheckpoint: options.readCheckpoint,
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
async function prewarm(kernels: RunKernels, policy: Policy | null, host: Host): Promise<void> {
  const shapes = slotsOf(host).map(({ shape }) => shape);
  await kernels.prewarm(policy?.candidates ?? [], shapes);
}

/** A key that nobody else has. */
function ownKeys(): KeyRing {
  return new KeyRing([{ id: "run", secret: globalThis.crypto.getRandomValues(new Uint8Array(32)) }]);
}

function controlOf(
  { runId, epochs }: GrowOptions,
  kasmina: Kasmina,
  commands: CommandQueue,
  trainer: Trainer,
): RunControl {
  return {
    send: (envelope, onOutcome) => commands.send(envelope, onOutcome),
    status: () => ({
      trainingRunId: runId,
      ...trainer.position,
      epochs,
      emergency: kasmina.emergency ?? null,
      ...kasmina.describe(trainer.position.step),
    }),
  };
}

function kernelsFor({ kernels }: GrowOptions, own: BuiltKernelsOptions): RunKernels {
  return kernels ?? new BuiltKernels(own);
}

/** What happens to a seed's request is told of the seed, as long as there is one. */
function tellOfKernels(kernels: RunKernels, kasmina: Kasmina): void {
  kernels.listen?.(({ seedId, name, level, attributes }, metrics) => {
    const seed = seedId === undefined ? undefined : kasmina.seed(seedId);
    const subject = seed && seed.stage !== "DORMANT" ? seed.id : undefined;
    kasmina.telemetry.event(subject, name, level, attributes);
    for (const metric of metrics)
      kasmina.telemetry.gauge(undefined, metric.name, metric.value, metric.labels);
  });
}

function restorePolicy(
  resume: GrowCheckpoint,
  tamiyo: Tamiyo | undefined,
  gains: AssembledRun["gains"],
): void {
  tamiyo?.policy.restore(resume.policy);
  tamiyo?.restoreSent(resume.commandsSent);
  for (const { seed, shadowGain, contribution } of resume.seeds)
    gains.set(seed.id, { shadowGain, contribution });
}

function observeEverySteps(stepsPerEpoch: number, epochs: number): number {
  const spread = Math.ceil((stepsPerEpoch * epochs) / OBSERVATIONS_PER_RUN);
  return Math.min(stepsPerEpoch, Math.max(MIN_STEPS_PER_OBSERVATION, spread));
}

function forward(packet: TelemetryPacket, { onEvent, onPacket }: GrowOptions): void {
  onPacket?.(packet);
  if (onEvent) for (const event of packet.events) onEvent(event, packet);
}

/** Of the seeds on record; those that are gone are forgotten with them. */
function rememberGains(gains: AssembledRun["gains"], state: SystemState, kasmina: Kasmina): void {
  for (const { id, shadowGain, contribution } of state.seeds) {
    const known = gains.get(id);
    gains.set(id, {
      shadowGain: shadowGain?.value ?? known?.shadowGain ?? null,
      contribution: contribution?.value ?? known?.contribution ?? null,
    });
  }
  for (const id of [...gains.keys()]) if (!kasmina.seed(id)) gains.delete(id);
}

function describeSeed({ kasmina, gains }: AssembledRun, seed: Seed, step: number): GrownSeed {
  const { shadowGain = null, contribution = null } = gains.get(seed.id) ?? {};
  return { seed, alpha: kasmina.alphaOf(seed, step), shadowGain, contribution };
}
