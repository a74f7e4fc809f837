/**
 * Tolaria, the trainer of one run. It owns the loop: at every step boundary commands come in and what was decided
 * takes effect; then one compiled step runs. What it computes depends on the seed, the data and the journal alone,
 * never on how long anything took.
 */
import type { EvaluationSource } from "../contracts/index.js";
import { blendControls, type EvaluationResult } from "../kasmina/index.js";
import { initHost } from "../nn/index.js";
import { carryOut } from "./changes.js";
import { distillationControls, registerTeacher, releaseTeacher } from "./distillation.js";
import { GrowingNetwork } from "./growing-network.js";
import { HyperControls } from "./hyper.js";
import { type LossProblem, LossWatch } from "./loss-watch.js";
import { evaluationMeasurement, lossOf, stepMeasurement, systemState } from "./measured.js";
import type { ModelState } from "./model-state.js";
import { Progress } from "./progress.js";
import { Rollback } from "./rollback.js";
import type { TrainerCheckpoint } from "./trainer-checkpoint.js";
import type { StepReport, TrainerOptions, TrainingEnd, TrainingResult } from "./trainer-options.js";

/** Milliseconds of uninterrupted steps after which waiting messages and timers get their turn. */
const YIELD_EVERY_MS = 25;

export class Trainer {
  readonly #options: TrainerOptions;
  readonly #stepsTotal: number;
  readonly #network: GrowingNetwork;
  readonly #hyper: HyperControls;
  readonly #progress: Progress;
  readonly #rollback: Rollback;
  readonly #lossWatch = new LossWatch();
  #halted = false;
  #frozen = false;
  #lastYieldMs = 0;

  constructor(options: TrainerOptions) {
    const { host, train, epochs, teacher, kasmina, clock, readCheckpoint } = options;
    this.#options = options;
    this.#stepsTotal = epochs * train.stepsPerEpoch;
    this.#hyper = new HyperControls(options.hyper, options.schedule, this.#stepsTotal);
    this.#progress = new Progress(train.stepsPerEpoch);
    this.#network = new GrowingNetwork(options);
    this.#rollback = new Rollback({
      model: this.model,
      hyper: this.#hyper,
      kasmina,
      clock,
      ...(readCheckpoint && { readCheckpoint }),
    });
    if (teacher) registerTeacher(teacher, host, kasmina, this.model);
    if (options.resume) this.#resume(options.resume);
    else this.model.add(initHost(host, options.seed));
  }

  get model(): ModelState {
    return this.#network.model;
  }

  /** Steps done, and the epoch under way, from 0. */
  get position(): { readonly step: number; readonly epoch: number } {
    return this.#progress.now;
  }

  /** Trains until the last epoch, an abort, or an emergency halt. */
  async run(): Promise<TrainingResult> {
    const { onCheckpoint } = this.#options;
    await this.#network.foreseeGrafts(this.#progress.step);
    while (this.#progress.step < this.#stepsTotal) {
      await this.#boundary();
      const end = this.#end;
      if (end || this.#progress.atEpochStart) await onCheckpoint?.(await this.checkpoint());
      if (end) return this.#result(end);
      await this.#trainStep();
      await this.#observe();
      await this.#yieldToEvents();
    }
    await onCheckpoint?.(await this.checkpoint());
    return this.#result("finished");
  }

  /** Frees parameters and programs. */
  dispose(): void {
    this.#network.dispose();
  }

  /** Everything a run needs to go on from here, or to be looked at. */
  async checkpoint(): Promise<TrainerCheckpoint> {
    return {
      ...this.#progress.snapshot(),
      epoch: this.#progress.now.epoch,
      tensors: await this.model.snapshot(),
      hyper: this.#hyper.snapshot(),
      watchedLosses: this.#lossWatch.losses,
      taught: this.#options.kasmina.teacher !== undefined,
      good: this.#rollback.good,
      kasmina: this.#options.kasmina.snapshot(),
    };
  }

  /** Evaluates the network as it stands on other rows; a seed in TRAINING is measured beside it. */
  async evaluate(source: EvaluationSource): Promise<EvaluationResult> {
    const result = await this.#network.evaluate(source, this.#progress.step);
    this.#progress.flops += result.flops;
    return result;
  }

  #resume(checkpoint: TrainerCheckpoint): void {
    const { kasmina } = this.#options;
    this.model.restore(checkpoint.tensors);
    kasmina.resume(checkpoint.kasmina);
    this.#hyper.restore(checkpoint.hyper);
    this.#progress.restore(checkpoint);
    this.#lossWatch.restart(checkpoint.watchedLosses);
    if (!checkpoint.taught) releaseTeacher(kasmina, this.model);
    this.#rollback.resume(checkpoint.good);
    this.#frozen = kasmina.emergency === "FREEZE_SEEDS";
  }

  get #end(): TrainingEnd | undefined {
    const { signal, untilStep } = this.#options;
    if (this.#halted) return "halted";
    return signal?.aborted || this.#progress.step === untilStep ? "aborted" : undefined;
  }

  async #boundary(): Promise<void> {
    const { kasmina, commands, signal } = this.#options;
    const { step } = this.#progress;
    kasmina.receive(commands, this.#progress.now);
    this.#network.prepareAhead();
    for (const change of await kasmina.takeEffect(step, signal)) {
      await carryOut(
        {
          model: this.model,
          hyper: this.#hyper,
          rollBack: async (source, reason) => void (await this.#rollback.restore(source, reason, step)),
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
    await this.#network.install(step);
    kasmina.finishEmbargoes(step, { residue: (seedId) => this.#network.residueOf(seedId) });
  }

  async #trainStep(): Promise<void> {
    const { kasmina, train, onLoss, onStep, reportEverySteps = 1 } = this.#options;
    const { step, now } = this.#progress;
    const programs = await this.#network.install(step);
    const { train: program, topology } = programs;
    const { inputs, labels } = train.at(step);
    const batch = { x: inputs, y: labels };
    const blend = blendControls(topology, kasmina.seeds(), step);
    const groups = ["host", ...topology.sites.map(({ seedId }) => seedId)];
    const controls = {
      ...blend.tensors,
      ...distillationControls(topology, this.#options.teacher),
      ...this.#hyper.at(step, groups, this.#frozen),
    };
    const { state } = this.model;
    this.#progress.flops += await this.#network.guard.look(programs, state, batch, controls, now);
    const outputs = await program.run(state, batch, controls);
    this.#progress.flops += program.traced.flops;
    const loss = lossOf(outputs);
    kasmina.recordStep(stepMeasurement(topology, outputs, blend.weights));
    kasmina.flushTelemetry(now);
    onLoss?.(step, loss);
    const problem = this.#lossWatch.see(loss);
    if (problem) await this.#recover(problem, loss);
    else this.#progress.addLoss(loss);
    this.#progress.step++;
    if (onStep && this.#progress.step % reportEverySteps === 0) onStep(this.#stepReport(loss));
  }

  /** Training went wrong: back to the last good state. The step is lost, the next one sees new data. */
  async #recover(problem: LossProblem, loss: number): Promise<void> {
    const reason =
      problem === "loss_spike" ? `the loss rose to ${loss.toPrecision(4)} and stayed` : `the loss is ${loss}`;
    await this.#rollback.recover(reason, this.#progress.step);
    this.#lossWatch.restart();
  }

  async #observe(): Promise<void> {
    const { train, observeEverySteps, onState, onEpoch, kasmina } = this.#options;
    const { step, atEpochStart: epochEnds } = this.#progress;
    if (!epochEnds && step % observeEverySteps !== 0) return;
    const heldOut = await this.evaluate(this.#options.heldOut);
    kasmina.recordEvaluation(evaluationMeasurement(this.#network.installed?.topology, heldOut));
    const { trainingRunId, epochs } = this.#options;
    const observed = { trainingRunId, epochs, kasmina, network: this.#network, progress: this.#progress };
    onState?.(systemState({ ...observed, heldOut }));
    this.#progress.endObservation();
    if (Number.isFinite(heldOut.loss.value)) await this.#rollback.keep(step);
    if (!epochEnds) return;
    const trainLoss = this.#progress.endEpoch();
    await onEpoch?.({ epoch: step / train.stepsPerEpoch, trainLoss, heldOut });
  }

  #stepReport(loss: number): StepReport {
    const { step } = this.#progress;
    const epoch = Math.ceil(step / this.#options.train.stepsPerEpoch);
    const { seeds } = this.#options.kasmina.describe(step);
    return { step, stepsTotal: this.#stepsTotal, epoch, loss, seeds };
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
