/** Hyper-parameters at run time: per group, adjustable by command, as the program's controls take them. */
import { hyperControl, scalar, type Tensor } from "../contracts/index.js";
import { type ScheduleId, scheduleFactor } from "./schedules.js";

export interface HyperParameters {
  readonly learningRate: number;
  /** SGD's momentum; Adam's β₁. */
  readonly momentum: number;
  readonly weightDecay: number;
}

/** The host follows the schedule; a seed keeps its rate until it is the host's. */
export class HyperControls {
  readonly #base: HyperParameters;
  readonly #schedule: ScheduleId;
  readonly #totalSteps: number;
  readonly #seedRate: (baseRate: number) => number;
  #overrides: Readonly<Record<string, HyperParameters>> = {};

  /** @param seedRate a seed's learning rate, from the host's base rate. Default: the same */
  constructor(
    base: HyperParameters,
    schedule: ScheduleId,
    totalSteps: number,
    seedRate: (baseRate: number) => number = (baseRate) => baseRate,
  ) {
    this.#base = base;
    this.#schedule = schedule;
    this.#totalSteps = totalSteps;
    this.#seedRate = seedRate;
  }

  /** What holds for a group (`host` or a seed's id), before the schedule. */
  of(group: string): HyperParameters {
    const adjusted = this.#overrides[group];
    if (adjusted || group === "host") return adjusted ?? this.#base;
    return { ...this.#base, learningRate: this.#seedRate(this.#base.learningRate) };
  }

  /** Changes what is given; the rest stays. */
  adjust(group: string, change: Partial<HyperParameters>): void {
    this.#overrides = { ...this.#overrides, [group]: { ...this.of(group), ...change } };
  }

  /** Forgets a group that is no more. */
  remove(group: string): void {
    this.#overrides = Object.fromEntries(Object.entries(this.#overrides).filter(([name]) => name !== group));
  }

  /** Adjusted groups, for a checkpoint. */
  snapshot(): Readonly<Record<string, HyperParameters>> {
    return this.#overrides;
  }

  restore(overrides: Readonly<Record<string, HyperParameters>>): void {
    this.#overrides = overrides;
  }

  /** The controls of the given groups at a step. Frozen seeds keep their weights: their rate is 0. */
  at(step: number, groups: readonly string[], frozen = false): Record<string, Tensor> {
    const factor = scheduleFactor(this.#schedule, step, this.#totalSteps);
    const controls: Record<string, Tensor> = {};
    for (const group of groups) {
      const { learningRate, momentum, weightDecay } = this.of(group);
      const scale = group === "host" ? factor : frozen ? 0 : 1;
      controls[hyperControl(group, "lr")] = scalar(learningRate * scale);
      controls[hyperControl(group, "momentum")] = scalar(momentum);
      controls[hyperControl(group, "weight_decay")] = scalar(weightDecay);
    }
    return controls;
  }
}
