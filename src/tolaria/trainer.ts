/**
 * Tolaria, the trainer of one run. It owns the loop: at every step boundary commands come in and what was decided
 * takes effect; then one compiled step runs. What it computes depends on the seed, the data and the journal alone,
 * never on how long anything took.
 */
import { type Clock, KasminaError } from "../base/index.js";
import type {
  BatchSource,
  CommandSource,
  EvaluationSource,
  SeedState,
  SystemState,
  Tensor,
} from "../contracts/index.js";
import type { Backend } from "../engine/index.js";
import {
  type BlendWeights,
  blendControls,
  type EvaluationResult,
  type GraftCandidate,
  installedTopology,
  isBlended,
  isShadow,
  type Kasmina,
  monitoredRows,
  parameterSpecs,
  type SeedEvaluation,
  type SeedStepMeasurement,
  type Topology,
  type TopologyOptions,
  topologiesAhead,
  topologiesOfCandidates,
  topologyAfter,
  topologyOf,
} from "../kasmina/index.js";
import { type BlueprintRegistry, countHostParameters, type Host, initHost, slotsOf } from "../nn/index.js";
import { carryOut } from "./changes.js";
import {
  distillationControls,
  registerTeacher,
  releaseTeacher,
  type TeacherOptions,
} from "./distillation.js";
import { evaluateRows } from "./evaluate.js";
import { HyperControls, type HyperParameters } from "./hyper.js";
import { IsolationGuard } from "./isolation-guard.js";
import { type LossProblem, LossWatch } from "./loss-watch.js";
import { ModelState } from "./model-state.js";
import type { Optimizer } from "./optimizers.js";
import { Programs, type TopologyPrograms } from "./programs.js";
import { type GoodState, Rollback } from "./rollback.js";
import type { ScheduleId } from "./schedules.js";
import type { TopologyTracer } from "./tracer.js";
import { countScalars } from "./train-step.js";

export interface TrainerOptions {
  readonly trainingRunId: string;
  readonly host: Host;
  readonly blueprints: BlueprintRegistry;
  readonly backend: Backend;
  /** Traces new topologies; default: on this thread, between two steps. */
  readonly tracer?: TopologyTracer | undefined;
  readonly kasmina: Kasmina;
  /** What may well be germinated: what that takes is traced beforehand. */
  readonly candidates?: readonly GraftCandidate[];
  /** Drained at every step boundary. */
  readonly commands: CommandSource;
  readonly train: BatchSource;
  /** Rows that nothing learns from; they serve gates and policy. */
  readonly heldOut: EvaluationSource;
  readonly epochs: number;
  readonly optimizer: Optimizer;
  readonly hyper: HyperParameters;
  readonly schedule: ScheduleId;
  /** Initial parameters follow from it. */
  readonly seed: number;
  /** Steps between observations; each evaluates the held-out rows. The end of an epoch is one too. */
  readonly observeEverySteps: number;
  readonly hostGradient?: Topology["hostGradient"];
  /** Left out where the labels alone are learnt from. */
  readonly teacher?: TeacherOptions | undefined;
  readonly clock: Clock;
  /** Ends the run at the next step boundary. */
  readonly signal?: AbortSignal | undefined;
  /** Ends the run as a signal would at the boundary before this step (from 0), once what is due there has happened. */
  readonly untilStep?: number | undefined;
  readonly onState?: (state: SystemState) => void;
  /** Hears the loss of every step, by the step's number from 0. */
  readonly onLoss?: ((step: number, loss: number) => void) | undefined;
  /** Steps between reports. */
  readonly reportEverySteps?: number;
  readonly onStep?: ((report: StepReport) => void) | undefined;
  readonly onEpoch?: ((report: EpochReport) => void | Promise<void>) | undefined;
  /** Called at the first step boundary of each epoch, and at the boundary where training ends. */
  readonly onCheckpoint?: (checkpoint: TrainerCheckpoint) => Promise<void>;
  /** What a rollback to the checkpoint returns to: the last one that verifies. */
  readonly readCheckpoint?: () => Promise<TrainerCheckpoint | undefined>;
  /** Goes on from here instead of starting anew. */
  readonly resume?: TrainerCheckpoint | undefined;
}

export interface StepReport {
  /** Steps done, over all epochs. */
  readonly step: number;
  readonly stepsTotal: number;
  /** From 1. */
  readonly epoch: number;
  readonly loss: number;
  readonly seeds: readonly SeedState[];
}

export interface EpochReport {
  /** From 1. */
  readonly epoch: number;
  /** Mean over the epoch's steps. */
  readonly trainLoss: number;
  readonly heldOut: EvaluationResult;
}

/** How training came to its end. */
export type TrainingEnd = "finished" | "aborted" | "halted";

export interface TrainingResult {
  readonly end: TrainingEnd;
  /** Steps done. */
  readonly steps: number;
  readonly paramsHost: number;
  readonly paramsTotal: number;
  /** Everything that was computed: steps, shadow passes, evaluations, culled seeds included. */
  readonly flopsTotal: number;
}

export interface TrainerCheckpoint extends GoodState {
  /** From 0. */
  readonly epoch: number;
  readonly flopsTotal: number;
  /** Of the epoch under way. */
  readonly epochLosses: readonly number[];
  /** Since the last observation. */
  readonly recentLosses: readonly number[];
  /** What the watch for spikes remembers. */
  readonly watchedLosses: readonly number[];
  /** Whether there is a teacher still. */
  readonly taught: boolean;
  /** The state that a rollback would return to; undefined before the first observation. */
  readonly good: GoodState | undefined;
}

/** Milliseconds of uninterrupted steps after which waiting messages and timers get their turn. */
const YIELD_EVERY_MS = 25;

export class Trainer {
  readonly #options: TrainerOptions;
  readonly #stepsTotal: number;
  readonly model: ModelState;
  readonly #hyper: HyperControls;
  readonly #programs: Programs;
  readonly #guard: IsolationGuard;
  readonly #rollback: Rollback;
  readonly #lossWatch = new LossWatch();
  #installed: TopologyPrograms | undefined;
  #step = 0;
  #flops = 0;
  #halted = false;
  #frozen = false;
  #plannedSequence = 0;
  #epochLosses: number[] = [];
  #recentLosses: number[] = [];
  #lastYieldMs = 0;

  constructor(options: TrainerOptions) {
    const { host, backend, optimizer, train, heldOut, epochs, teacher } = options;
    this.#options = options;
    this.#stepsTotal = epochs * train.stepsPerEpoch;
    this.#hyper = new HyperControls(options.hyper, options.schedule, this.#stepsTotal);
    this.#programs = new Programs({
      backend,
      optimizer,
      trainBatch: train.batch,
      evaluationBatch: heldOut.batch,
      monitor: {
        batch: train.batch,
        rows: monitoredRows(train.batch),
        coordinates: options.kasmina.config.isolation.sampleCoordinates,
      },
      ...(options.tracer && { tracer: options.tracer }),
    });
    this.#guard = new IsolationGuard(options.kasmina);
    this.model = new ModelState(backend, optimizer);
    this.#rollback = new Rollback({
      model: this.model,
      hyper: this.#hyper,
      kasmina: options.kasmina,
      clock: options.clock,
      ...(options.readCheckpoint && { readCheckpoint: options.readCheckpoint }),
    });
    if (teacher) registerTeacher(teacher, host, options.kasmina, this.model);
    if (options.resume) this.#resume(options.resume);
    else this.model.add(initHost(host, options.seed));
  }

  /** Trains until the last epoch, an abort, or an emergency halt. */
  async run(): Promise<TrainingResult> {
    const { onCheckpoint, train } = this.#options;
    await this.#foreseeGrafts();
    while (this.#step < this.#stepsTotal) {
      await this.#boundary();
      const end = this.#end;
      if (end || this.#step % train.stepsPerEpoch === 0) await onCheckpoint?.(await this.checkpoint());
      if (end) return this.#result(end);
      await this.#trainStep();
      await this.#observe();
      await this.#yieldToEvents();
    }
    await onCheckpoint?.(await this.checkpoint());
    return this.#result("finished");
  }

  get #end(): TrainingEnd | undefined {
    const { signal, untilStep } = this.#options;
    if (this.#halted) return "halted";
    return signal?.aborted || this.#step === untilStep ? "aborted" : undefined;
  }

  /** A graft waits for no trace: those of the candidates are there before the first step, the stages after follow. */
  async #foreseeGrafts(): Promise<void> {
    const { topology } = await this.#install();
    const grafts = this.#graftsOn(topology);
    await this.#programs.anticipate(
      grafts,
      slotsOf(this.#options.host).length * (this.#options.candidates?.length ?? 0),
    );
  }

  /** What may be grafted next, while nothing else is growing. */
  #graftsOn(topology: Topology): Topology[] {
    const grows = topology.sites.some(({ part }) => part !== "grown");
    return grows
      ? []
      : topologiesOfCandidates(topology, this.#topologyOptions, this.#options.candidates ?? []);
  }

  /** Everything a run needs to go on from here, or to be looked at. */
  async checkpoint(): Promise<TrainerCheckpoint> {
    return {
      tensors: await this.model.snapshot(),
      step: this.#step,
      epoch: this.#now.epoch,
      flopsTotal: this.#flops,
      hyper: this.#hyper.snapshot(),
      epochLosses: [...this.#epochLosses],
      recentLosses: [...this.#recentLosses],
      watchedLosses: this.#lossWatch.losses,
      taught: this.#options.kasmina.teacher !== undefined,
      good: this.#rollback.good,
      kasmina: this.#options.kasmina.snapshot(),
    };
  }

  #resume(checkpoint: TrainerCheckpoint): void {
    this.model.restore(checkpoint.tensors);
    this.#options.kasmina.resume(checkpoint.kasmina);
    this.#hyper.restore(checkpoint.hyper);
    this.#step = checkpoint.step;
    this.#flops = checkpoint.flopsTotal;
    this.#epochLosses = [...checkpoint.epochLosses];
    this.#recentLosses = [...checkpoint.recentLosses];
    this.#lossWatch.restart(checkpoint.watchedLosses);
    if (!checkpoint.taught) releaseTeacher(this.#options.kasmina, this.model);
    this.#rollback.resume(checkpoint.good);
    this.#frozen = this.#options.kasmina.emergency === "FREEZE_SEEDS";
  }

  /** Evaluates the network as it stands on other rows; a seed in TRAINING is measured beside it. */
  async evaluate(source: EvaluationSource): Promise<EvaluationResult> {
    const { evaluate, topology } = await this.#install();
    const controls = blendControls(topology, this.#options.kasmina.seeds(), this.#step).tensors;
    const result = await evaluateRows(evaluate, topology, this.model.state, source, controls);
    this.#flops += result.flops;
    return result;
  }

  /** Steps done, and the epoch under way, from 0. */
  get position(): { readonly step: number; readonly epoch: number } {
    return this.#now;
  }

  get #now(): { step: number; epoch: number } {
    return { step: this.#step, epoch: Math.floor(this.#step / this.#options.train.stepsPerEpoch) };
  }

  async #boundary(): Promise<void> {
    const { kasmina, commands, signal } = this.#options;
    kasmina.receive(commands, this.#now);
    this.#prepareAhead();
    for (const change of await kasmina.takeEffect(this.#step, signal)) {
      await carryOut(
        {
          model: this.model,
          hyper: this.#hyper,
          rollBack: async (source, reason) => void (await this.#rollback.restore(source, reason, this.#step)),
          emergency: (level) => {
            this.#halted ||= level === "HALT";
            this.#frozen = level === "FREEZE_SEEDS";
          },
        },
        change,
      );
    }
    // What a stop kept from happening happens when the run is resumed, at this same boundary.
    if (signal?.aborted) return;
    await this.#install();
    kasmina.finishEmbargoes(this.#step, { residue: (seedId) => this.#residueOf(seedId) });
  }

  /** Starts on the programs of a change as soon as it is accepted, so that they are there when it takes effect. */
  #prepareAhead(): void {
    const next = this.#options.kasmina.planned.find((change) => change.sequence > this.#plannedSequence);
    if (!next) return;
    this.#plannedSequence = next.sequence;
    const topology = topologyAfter(this.#topologyOptions, this.#guard.admitted(), next);
    if (topology) this.#programs.prepare(topology).catch(() => undefined); // told when it is installed
  }

  /** Makes the programs of the present topology the ones that run, without the seeds that isolation refuses. */
  async #install(): Promise<TopologyPrograms> {
    const { kasmina } = this.#options;
    let programs: TopologyPrograms | undefined;
    while (!programs) {
      const topology = topologyOf(this.#topologyOptions, this.#guard.admitted());
      programs = this.#guard.admit(await this.#programs.prepare(topology), this.#step);
    }
    if (programs !== this.#installed) {
      this.#refuseTeacherUpdates(programs);
      this.#installed = programs;
      kasmina.recordTopology(installedTopology(programs.topology));
      const ahead = topologiesAhead(this.#topologyOptions, this.#guard.admitted());
      void this.#programs.anticipate([...ahead, ...this.#graftsOn(programs.topology)]);
    }
    return programs;
  }

  /** No program that would change a parameter of the teacher ever runs. */
  #refuseTeacherUpdates({ train }: TopologyPrograms): void {
    const changed = train.traced.outputs.filter(({ role }) => role === "state").map(({ name }) => name);
    const problem = this.#options.kasmina.updateProblem(changed);
    if (!problem) return;
    throw new KasminaError(
      "illegal_state",
      `the training step would update ${problem.path}: ${problem.reason}`,
    );
  }

  /** The teacher is part of it until it is deregistered. */
  get #topologyOptions(): TopologyOptions {
    const { host, blueprints, hostGradient = "detach", teacher, kasmina } = this.#options;
    return { host, blueprints, hostGradient, ...(teacher && kasmina.teacher && { teacher }) };
  }

  #residueOf(seedId: string): string[] {
    const sites = this.#installed?.topology.sites ?? [];
    const inputs = sites.some((site) => site.seedId === seedId) ? [`program/${seedId}`] : [];
    return [...this.model.residueOf(seedId), ...inputs];
  }

  async #trainStep(): Promise<void> {
    const { kasmina, train } = this.#options;
    const programs = await this.#install();
    const { train: program, topology } = programs;
    const { inputs, labels } = train.at(this.#step);
    const batch = { x: inputs, y: labels };
    const blend = blendControls(topology, kasmina.seeds(), this.#step);
    const groups = ["host", ...topology.sites.map(({ seedId }) => seedId)];
    const controls = {
      ...blend.tensors,
      ...distillationControls(topology, this.#options.teacher),
      ...this.#hyper.at(this.#step, groups, this.#frozen),
    };
    this.#flops += await this.#guard.look(programs, this.model.state, batch, controls, this.#now);
    const outputs = await program.run(this.model.state, batch, controls);
    this.#flops += program.traced.flops;
    const loss = numberOf(outputs.loss);
    this.#record(topology, outputs, loss, blend.weights);
    this.#options.onLoss?.(this.#step, loss);
    const problem = this.#lossWatch.see(loss);
    if (problem) await this.#recover(problem, loss);
    else {
      this.#epochLosses.push(loss);
      this.#recentLosses.push(loss);
    }
    this.#step++;
    const { onStep, reportEverySteps = 1 } = this.#options;
    if (onStep && this.#step % reportEverySteps === 0) onStep(this.#stepReport(loss));
  }

  /** Training went wrong: back to the last good state. The step is lost, the next one sees new data. */
  async #recover(problem: LossProblem, loss: number): Promise<void> {
    const reason =
      problem === "loss_spike" ? `the loss rose to ${loss.toPrecision(4)} and stayed` : `the loss is ${loss}`;
    await this.#rollback.recover(reason, this.#step);
    this.#lossWatch.restart();
  }

  #record(
    topology: Topology,
    outputs: Readonly<Record<string, Tensor>>,
    loss: number,
    weights: ReadonlyMap<string, BlendWeights>,
  ): void {
    const { kasmina } = this.#options;
    const seeds = topology.sites
      .filter(({ part }) => part !== "grown")
      .map((site): [string, SeedStepMeasurement] => {
        const { seedId } = site;
        const norm = outputs[`gradient_norm/${seedId}`];
        const blend = isBlended(site) ? weights.get(seedId) : undefined;
        const measured = {
          loss: numberOf(outputs[`loss/${seedId}`] ?? outputs.loss),
          ...(norm && { gradientNorm: numberOf(norm) }),
          ...(blend && { blend }),
        };
        return [seedId, measured];
      });
    kasmina.recordStep({ loss, seeds: Object.fromEntries(seeds) });
    kasmina.flushTelemetry(this.#now);
  }

  async #observe(): Promise<void> {
    const { train, observeEverySteps, onState, onEpoch } = this.#options;
    const epochEnds = this.#step % train.stepsPerEpoch === 0;
    if (!epochEnds && this.#step % observeEverySteps !== 0) return;
    const heldOut = await this.evaluate(this.#options.heldOut);
    this.#recordEvaluation(heldOut);
    onState?.(this.#systemState(heldOut));
    this.#recentLosses = [];
    if (Number.isFinite(heldOut.loss.value)) await this.#rollback.keep(this.#step);
    if (!epochEnds) return;
    const trainLoss = mean(this.#epochLosses);
    this.#epochLosses = [];
    await onEpoch?.({ epoch: this.#step / train.stepsPerEpoch, trainLoss, heldOut });
  }

  #recordEvaluation(heldOut: EvaluationResult): void {
    const sites = this.#installed?.topology.sites ?? [];
    const seeds = sites.flatMap((site): [string, SeedEvaluation][] => {
      const gain = heldOut.gains.get(site.seedId);
      if (!gain) return [];
      return [[site.seedId, isShadow(site) ? { shadowGain: gain } : { contribution: gain }]];
    });
    this.#options.kasmina.recordEvaluation({ loss: heldOut.loss, seeds: Object.fromEntries(seeds) });
  }

  #systemState(heldOut: EvaluationResult): SystemState {
    const { trainingRunId, kasmina, epochs, host } = this.#options;
    const topology = this.#installed?.topology;
    return {
      trainingRunId,
      ...this.#now,
      epochs,
      trainLoss: mean(this.#recentLosses),
      heldOutLoss: heldOut.loss,
      heldOutAccuracy: heldOut.accuracy,
      ...kasmina.describe(this.#step),
      paramsHost: countHostParameters(host),
      paramsTotal: topology ? countScalars(parameterSpecs(topology)) : countHostParameters(host),
      flopsPerStep: this.#installed?.train.traced.flops ?? 0,
      flopsTotal: this.#flops,
    };
  }

  #stepReport(loss: number): StepReport {
    const epoch = Math.ceil(this.#step / this.#options.train.stepsPerEpoch);
    return {
      step: this.#step,
      stepsTotal: this.#stepsTotal,
      epoch,
      loss,
      seeds: this.#options.kasmina.describe(this.#step).seeds,
    };
  }

  #result(end: TrainingEnd): TrainingResult {
    const { host } = this.#options;
    const topology = this.#installed?.topology;
    return {
      end,
      steps: this.#step,
      paramsHost: countHostParameters(host),
      paramsTotal: topology ? countScalars(parameterSpecs(topology)) : countHostParameters(host),
      flopsTotal: this.#flops,
    };
  }

  /** Lets messages, timers and signals in between two steps; no result depends on when. */
  async #yieldToEvents(): Promise<void> {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#lastYieldMs < YIELD_EVERY_MS) return;
    await new Promise<void>((resolve) => setTimeout(resolve, 0));
    this.#lastYieldMs = this.#options.clock.monotonicMs();
  }
}

function numberOf(tensor: Tensor | undefined): number {
  return tensor?.data[0] ?? Number.NaN;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
