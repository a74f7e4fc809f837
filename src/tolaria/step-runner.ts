/** One training step: what it is fed, the look at isolation before it, what it computes, and what went wrong with it. */

import type { Tensor, Tensors } from "../contracts/index.js";
import type { BlendWeights } from "../kasmina/index.js";
import { distillationControls } from "./distillation.js";
import type { GrowingNetwork } from "./growing-network.js";
import type { HyperControls } from "./hyper.js";
import { stepMeasurement } from "./measured.js";
import type { Progress } from "./progress.js";
import type { Rollback } from "./recovery/rollback.js";
import {
  cullNonFinite,
  isolationFailure,
  LossWatch,
  lossFailure,
  NON_FINITE_HOST,
  type TrainingFailure,
} from "./recovery/training-failure.js";
import { blendControls } from "./topologies.js";
import type { TopologyPrograms } from "./tracing/programs.js";
import type { TrainerOptions } from "./trainer-options.js";

/** What one step is fed. */
interface Feed {
  readonly batch: Tensors & { readonly x: Tensor };
  /** Numbers of the batch's rows, where they have some. */
  readonly rows: Int32Array | undefined;
  readonly controls: Tensors;
  /** Per seed, for telemetry. */
  readonly weights: ReadonlyMap<string, BlendWeights>;
}

/** What a step works on. */
export interface TrainingParts {
  readonly network: GrowingNetwork;
  readonly hyper: HyperControls;
  readonly progress: Progress;
  readonly rollback: Rollback;
}

export class Training {
  readonly #options: Pick<TrainerOptions, "kasmina" | "train" | "teacher" | "onLoss">;
  readonly #parts: TrainingParts;
  readonly lossWatch = new LossWatch();
  #loss = Number.NaN;

  constructor(
    options: Pick<TrainerOptions, "kasmina" | "train" | "teacher" | "onLoss">,
    parts: TrainingParts,
  ) {
    this.#options = options;
    this.#parts = parts;
  }

  /** Of the last step that ran; NaN before the first one. */
  get loss(): number {
    return this.#loss;
  }

  /**
   * Runs the step that {@link Progress} is at; it is up to the caller to go on to the next.
   * @param kept whether the state before it was found good, and is to be kept if nothing leaks into it
   * @returns what went wrong, if anything; then the state is no good
   */
  async step(kept: boolean): Promise<TrainingFailure | undefined> {
    const { network, progress } = this.#parts;
    const programs = await network.install(progress.step);
    const feed = this.#feed(programs);
    return (await this.#look(programs, feed, kept)) ?? (await this.#run(programs, feed));
  }

  #feed({ topology }: TopologyPrograms): Feed {
    const { kasmina, train, teacher } = this.#options;
    const { hyper, progress } = this.#parts;
    const { step } = progress;
    const { inputs, labels, weights: rowWeights, rows } = train.at(step);
    const { tensors, weights } = blendControls(topology, kasmina.seeds(), step);
    const groups = ["host", ...topology.sites.map(({ seedId }) => seedId)];
    const frozen = kasmina.emergency === "FREEZE_SEEDS";
    const controls = {
      ...tensors,
      ...distillationControls(topology, teacher),
      ...hyper.at(step, groups, frozen),
    };
    const batch = { x: inputs, y: labels, ...(rowWeights && { weight: rowWeights }) };
    return { batch, rows, controls, weights };
  }

  /** Looks at isolation where it is due. */
  async #look(
    programs: TopologyPrograms,
    { batch, controls }: Feed,
    kept: boolean,
  ): Promise<TrainingFailure | undefined> {
    const { network, progress, rollback } = this.#parts;
    const { guard, model } = network;
    const { now } = progress;
    const look = await guard.look(programs, model.state, batch, controls, { now, kept });
    progress.spend({ isolation: look.flops });
    if (look.opened.length > 0) return isolationFailure(look.opened);
    if (!kept || look.violators.length > 0) return undefined;
    const { hostNonFinite } = await rollback.keep(now.step);
    return hostNonFinite ? NON_FINITE_HOST : undefined;
  }

  async #run(
    { train: program, topology, flops, prefix }: TopologyPrograms,
    { batch, rows, controls, weights }: Feed,
  ): Promise<TrainingFailure | undefined> {
    const { kasmina, onLoss } = this.#options;
    const { network, progress } = this.#parts;
    const { now } = progress;
    const { state } = network.model;
    const x = await network.features.ofStep(prefix, state, { x: batch.x, rows });
    const outputs = await program.run(state, { ...batch, x }, controls);
    progress.spend(flops.step);
    const measured = stepMeasurement(topology, outputs, weights);
    const { loss } = measured;
    this.#loss = loss;
    kasmina.recordStep(measured);
    kasmina.flushTelemetry(now);
    onLoss?.(now.step, loss);
    const problem = this.lossWatch.see(loss);
    if (problem) return lossFailure(problem, loss, batch);
    progress.addLoss(loss);
    cullNonFinite(kasmina, measured, now.step + 1);
    return undefined;
  }
}
