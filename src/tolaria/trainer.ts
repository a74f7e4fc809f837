/**
 * Tolaria, the trainer of one run. It owns the loop: at every step boundary commands come in and what was decided
 * takes effect; then one compiled step runs. What it computes depends on the seed, the data and the journal alone,
 * never on how long anything took.
 */

import { abortable, unlessStopped } from "../base/index.js";
import { type EvaluationSource, isGrowing } from "../contracts/index.js";
import type { EvaluationResult } from "../network/index.js";
import { frozenPaths, initHost } from "../nn/index.js";
import { type ChangeTarget, carryOut } from "./changes.js";
import { registerTeacher, releaseTeacher } from "./distillation.js";
import { GrowingNetwork } from "./growing-network.js";
import { HyperControls, warmupSteps } from "./hyper.js";
import { evaluationMeasurement, systemState } from "./measured.js";
import type { ModelState } from "./model-state.js";
import { Progress } from "./progress.js";
import { Rollback } from "./recovery/rollback.js";
import type { TrainingFailure } from "./recovery/training-failure.js";
import { Training } from "./step-runner.js";
import type {
  BestNetwork,
  StepReport,
  StopPlace,
  TrainerCheckpoint,
  TrainerOptions,
  TrainingEnd,
  TrainingResult,
} from "./trainer-options.js";

/** Milliseconds of uninterrupted steps after which waiting messages and timers get their turn. */
const YIELD_EVERY_MS = 25;

export class Trainer {
  readonly #options: TrainerOptions;
  readonly #stepsTotal: number;
  readonly #network: GrowingNetwork;
  readonly #hyper: HyperControls;
  readonly #progress: Progress;
  readonly #rollback: Rollback;
  readonly #training: Training;
  #bestNetwork: BestNetwork | undefined;
  #halted = false;
  /** Whether the state before the next step was found good and is to be kept. The initial state is. */
  #keepDue = true;
  #lastYieldMs = 0;
  #lastCheckpointMs: number;
  readonly #startedMs: number;

  constructor(options: TrainerOptions) {
    const {
      host,
      train,
      epochs,
      teacher,
      kasmina,
      clock,
      readCheckpoint,
      optimizer,
      schedule,
      warmup = 0,
    } = options;
    this.#options = options;
    this.#startedMs = clock.monotonicMs();
    this.#lastCheckpointMs = this.#startedMs;
    this.#stepsTotal = epochs * train.stepsPerEpoch;
    this.#hyper = new HyperControls(
      options.hyper,
      {
        id: schedule ?? "cosine",
        totalSteps: this.#stepsTotal,
        warmupSteps: warmupSteps(warmup, this.#stepsTotal),
        followedBy: schedule === undefined ? "host" : "all",
      },
      optimizer.seedRate,
    );
    this.#progress = new Progress(train.stepsPerEpoch);
    this.#network = new GrowingNetwork(options);
    this.#rollback = new Rollback({
      model: this.model,
      hyper: this.#hyper,
      kasmina,
      clock,
      readCheckpoint,
    });
    this.#training = new Training(options, {
      network: this.#network,
      hyper: this.#hyper,
      progress: this.#progress,
      rollback: this.#rollback,
    });
    if (teacher) registerTeacher(teacher, host, kasmina, this.model);
    if (options.resume) this.#resume(options.resume);
    else this.#begin();
  }

  get model(): ModelState {
    return this.#network.model;
  }

  /** Steps done, and the epoch under way, from 0. */
  get position(): { readonly step: number; readonly epoch: number } {
    return this.#progress.now;
  }

  /** Trains until the last epoch, until nothing gets better or time is over, an abort, or an emergency halt. */
  async run(): Promise<TrainingResult> {
    const { signal } = this.#options;
    await unlessStopped(abortable(this.#network.prefetchTraces(this.#progress.step), signal), signal);
    await this.#observe();
    while (this.#progress.step < this.#stepsTotal && !this.#progress.observationDue) {
      await this.#boundary();
      await this.#yieldToEvents();
      const end = this.#end;
      if (end || this.#checkpointDue) await this.#tellCheckpoint();
      if (end) return this.#result(end);
      await this.#trainStep();
      await this.#observe();
      await this.#yieldToEvents();
    }
    await this.#tellCheckpoint();
    return this.#result(this.#progress.observationDue ? "aborted" : "finished");
  }

  /** Frees parameters and programs. */
  dispose(): Promise<void> {
    return this.#network.dispose();
  }

  /** Everything a run needs to go on from here, or to be looked at. */
  async checkpoint(): Promise<TrainerCheckpoint> {
    return {
      ...this.#progress.snapshot(),
      epoch: this.#progress.now.epoch,
      atEpochStart: this.#progress.atEpochStart,
      tensors: await this.model.snapshot(),
      hyper: this.#hyper.snapshot(),
      watchedLosses: this.#training.lossWatch.losses,
      taught: this.#options.kasmina.teacher !== undefined,
      ...this.#rollback.snapshot(),
      keepDue: this.#keepDue,
      kasmina: this.#options.kasmina.snapshot(),
      ...(this.#bestNetwork && { bestNetwork: this.#bestNetwork }),
    };
  }

  /**
   * Evaluates the network as it stands on other rows; a seed in TRAINING is measured in parallel. `pause` comes between two
   * batches; where it rejects, so does this.
   */
  async evaluate(source: EvaluationSource, pause?: () => Promise<void>): Promise<EvaluationResult> {
    const result = await this.#network.evaluate(source, this.#progress.step, pause);
    this.#progress.spend(result.flops, result.batches);
    return result;
  }

  #begin(): void {
    const { host, seed, inherits } = this.#options;
    this.model.addHost(inherits?.parameters ?? initHost(host, seed), frozenPaths(host));
    if (inherits?.optimizer) this.model.takeOptimizer(inherits.optimizer);
  }

  #resume(checkpoint: TrainerCheckpoint): void {
    const { kasmina } = this.#options;
    this.model.restore(checkpoint.tensors);
    kasmina.resume(checkpoint.kasmina);
    this.#hyper.restore(checkpoint.hyper);
    this.#progress.restore(checkpoint);
    this.#training.lossWatch.restart(checkpoint.watchedLosses);
    if (!checkpoint.taught) releaseTeacher(kasmina, this.model);
    this.#rollback.resume(checkpoint);
    this.#keepDue = checkpoint.keepDue;
    this.#bestNetwork = checkpoint.bestNetwork;
  }

  get #checkpointDue(): boolean {
    const { checkpointEvery: every, clock } = this.#options;
    if (this.#progress.atEpochStart) return true;
    if (!every) return false;
    return "steps" in every
      ? this.#progress.step % every.steps === 0
      : clock.monotonicMs() - this.#lastCheckpointMs >= every.ms;
  }

  async #tellCheckpoint(): Promise<void> {
    const { onCheckpoint, clock } = this.#options;
    await onCheckpoint?.(await this.checkpoint());
    this.#lastCheckpointMs = clock.monotonicMs();
  }

  get #end(): TrainingEnd | undefined {
    const { signal, until, patience, timeLimitMs, clock } = this.#options;
    if (this.#halted) return "halted";
    if (signal?.aborted || this.#progress.step === until?.step) return "aborted";
    if (patience !== undefined && this.#progress.epochsSinceBest >= patience) return "patience";
    if (timeLimitMs === undefined) return undefined;
    return clock.monotonicMs() - this.#startedMs >= timeLimitMs ? "time_limit" : undefined;
  }

  /** Ends what is under way where the run is to stop there. */
  #signalAt(place: StopPlace["at"]): AbortSignal | undefined {
    const { signal, until } = this.#options;
    return until?.step === this.#progress.step && until.at === place ? AbortSignal.abort() : signal;
  }

  /** A rollback ends what takes effect in one go: what was ordered after it holds for the state that it brings. */
  async #boundary(): Promise<void> {
    const { kasmina, commands } = this.#options;
    const { step } = this.#progress;
    const signal = this.#signalAt("kernel");
    kasmina.receive(commands, this.#progress.now);
    this.#network.prepareAhead();
    for (;;) {
      const changes = await kasmina.takeEffect(step, signal);
      for (const change of changes) await carryOut(this.#changing, change);
      if (changes.length === 0) break;
    }
    // What a stop kept from happening happens when the run is resumed, at this same boundary.
    if (signal?.aborted) return;
    await this.#network.install(step);
    kasmina.finishEmbargoes(step, { residue: (seedId) => this.#network.residueOf(seedId) });
  }

  get #changing(): ChangeTarget {
    return {
      model: this.model,
      hyper: this.#hyper,
      rollBack: async (source, reason) => {
        if (await this.#rollback.restore(source, reason, this.#progress.step)) this.#afterRollback();
      },
      emergency: (level) => {
        if (level === "HALT") this.#halt();
      },
    };
  }

  /** A replay of a run that was resumed after a halt goes on as it did. */
  #halt(): void {
    const { until, kasmina } = this.#options;
    if (until !== undefined && this.#progress.step < until.step) kasmina.liftHalt();
    else this.#halted = true;
  }

  async #trainStep(): Promise<void> {
    const { onStep, reportEverySteps = 1 } = this.#options;
    const kept = this.#keepDue;
    this.#keepDue = false;
    const failure = await this.#training.step(kept);
    if (failure) await this.#recover(failure);
    this.#progress.step++;
    this.#network.afterStep();
    this.#progress.observationDue =
      this.#progress.atEpochStart || this.#progress.step % this.#options.observeEverySteps === 0;
    if (onStep && this.#progress.step % reportEverySteps === 0) onStep(this.#stepReport());
  }

  /** Training went wrong: back to a good state. The step is lost, the next one sees new data. */
  async #recover(failure: TrainingFailure): Promise<void> {
    const { kasmina } = this.#options;
    const { now } = this.#progress;
    try {
      await this.#rollback.recover(failure, now.step);
      this.#afterRollback();
    } catch (error) {
      kasmina.flushTelemetry(now);
      throw error;
    }
  }

  /** What was seen of the state that is gone says nothing about the one returned to. */
  #afterRollback(): void {
    this.#training.lossWatch.restart();
    this.#network.prepareAnew();
    this.#keepDue = false;
  }

  /** Where a stop comes in between, the observation stays due: the run that is resumed begins with it. */
  async #observe(): Promise<void> {
    if (!this.#progress.observationDue) return;
    const { train, onState, onEpoch, kasmina } = this.#options;
    const { step, atEpochStart: epochEnds } = this.#progress;
    const heldOut = await this.#evaluateHeldOut();
    if (!heldOut) return;
    kasmina.recordEvaluation(evaluationMeasurement(this.#network.installed?.topology, heldOut));
    const { trainingRunId, epochs } = this.#options;
    const observed = { trainingRunId, epochs, kasmina, network: this.#network, progress: this.#progress };
    onState?.(systemState({ ...observed, heldOut }));
    this.#progress.endObservation();
    this.#keepDue = Number.isFinite(heldOut.loss.value);
    if (!epochEnds) return;
    const trainLoss = this.#progress.endEpoch();
    const isTrying = kasmina.seeds().some(({ stage }) => isGrowing(stage));
    const isBest = this.#progress.seeEpoch(heldOut.loss.value, !isTrying);
    if (isBest && this.#options.keep === "best" && Number.isFinite(heldOut.loss.value))
      this.#bestNetwork = await this.#presentNetwork(heldOut);
    await onEpoch?.({ epoch: step / train.stepsPerEpoch, trainLoss, heldOut });
  }

  async #presentNetwork({ loss }: EvaluationResult): Promise<BestNetwork> {
    return {
      step: this.#progress.step,
      heldOutLoss: loss.value,
      tensors: await this.model.parameters(),
      kasmina: this.#options.kasmina.snapshot(),
    };
  }

  /** Undefined where the run is stopped meanwhile. */
  #evaluateHeldOut(): Promise<EvaluationResult | undefined> {
    const signal = this.#signalAt("observation");
    const evaluation = this.evaluate(this.#options.heldOut, async () => {
      await this.#yieldToEvents();
      signal?.throwIfAborted();
    });
    return unlessStopped(evaluation, signal);
  }

  #stepReport(): StepReport {
    const { step } = this.#progress;
    const epoch = Math.ceil(step / this.#options.train.stepsPerEpoch);
    const { seeds } = this.#options.kasmina.describe(step);
    return { step, stepsTotal: this.#stepsTotal, epoch, loss: this.#training.loss, seeds };
  }

  #result(end: TrainingEnd): TrainingResult {
    const { paramsHost, paramsTotal } = this.#network;
    const { step: steps, flops: flopsTotal } = this.#progress;
    return { end, steps, paramsHost, paramsTotal, flopsTotal };
  }

  /** Lets messages, timers and signals in between two steps; no result depends on when. */
  async #yieldToEvents(): Promise<void> {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#lastYieldMs < YIELD_EVERY_MS) return;
    await new Promise<void>((resolve) => setTimeout(resolve, 0));
    this.#lastYieldMs = this.#options.clock.monotonicMs();
  }
}
