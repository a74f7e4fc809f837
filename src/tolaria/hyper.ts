/** Hyper-parameters at run time: per group, by schedule and by command, as the program takes them. */
import { hyperControl, scalar, type Tensor, type Tensors } from "../contracts/index.js";

export type ScheduleId = "constant" | "cosine" | "linear";

export const SCHEDULE_IDS = ["constant", "cosine", "linear"] as const satisfies readonly ScheduleId[];

/** Over how much of a run the rate rises from near 0 at its start: a number of steps, or a percentage of the run's. */
export type Warmup = number | `${number}%`;

const DEFAULT_WARMUP_STEPS = 0;

const DECAYS: { readonly [K in ScheduleId]: (progress: number) => number } = {
  constant: () => 1,
  cosine: (progress) => (1 + Math.cos(Math.PI * progress)) / 2,
  linear: (progress) => 1 - progress,
};

/**
 * The factor of `step` (from 0) in a run of `totalSteps`. Cosine: Loshchilov & Hutter 2016, arXiv:1608.03983, without
 * restarts.
 */
export function scheduleFactor(
  id: ScheduleId,
  step: number,
  totalSteps: number,
  warmupSteps = DEFAULT_WARMUP_STEPS,
): number {
  if (step < warmupSteps) return (step + 1) / (warmupSteps + 1);
  const progress = (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
  return DECAYS[id](Math.min(1, progress));
}

/** How many steps of a run a warm-up takes. */
export function warmupSteps(warmup: Warmup, totalSteps: number): number {
  return typeof warmup === "number" ? warmup : Math.round((Number.parseFloat(warmup) / 100) * totalSteps);
}

/** How learning rates go over a run: a function of the step alone. */
export interface RateSchedule {
  readonly id: ScheduleId;
  readonly totalSteps: number;
  /** Default 0. */
  readonly warmupSteps?: number;
  /** Who follows it: the host alone, while a seed keeps its rate until it is the host's, or both. Default `host`. */
  readonly followedBy?: "host" | "all";
}

export interface HyperParameters {
  readonly learningRate: number;
  /** SGD's momentum; Adam's β₁. */
  readonly momentum: number;
  readonly weightDecay: number;
}

export class HyperControls {
  readonly #base: HyperParameters;
  readonly #schedule: RateSchedule;
  readonly #seedRate: (baseRate: number) => number;
  readonly #controls = new Map<string, { readonly values: readonly number[]; readonly controls: Tensors }>();
  #overrides: Readonly<Record<string, HyperParameters>> = {};

  /** @param seedRate a seed's learning rate, from the host's base rate. Default: the same */
  constructor(
    base: HyperParameters,
    schedule: RateSchedule,
    seedRate: (baseRate: number) => number = (baseRate) => baseRate,
  ) {
    this.#base = base;
    this.#schedule = schedule;
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
    this.#controls.delete(group);
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
    const { id, totalSteps, warmupSteps: warmup, followedBy = "host" } = this.#schedule;
    const factor = scheduleFactor(id, step, totalSteps, warmup);
    const ofSeeds = frozen ? 0 : followedBy === "all" ? factor : 1;
    const controls: Record<string, Tensor> = {};
    for (const group of groups) {
      const { learningRate, momentum, weightDecay } = this.of(group);
      const scale = group === "host" ? factor : ofSeeds;
      Object.assign(controls, this.#controlsOf(group, [learningRate * scale, momentum, weightDecay]));
    }
    return controls;
  }

  /** The controls of a group, those of the step before where nothing has changed. */
  #controlsOf(group: string, values: readonly [lr: number, momentum: number, weightDecay: number]): Tensors {
    const known = this.#controls.get(group);
    if (known && values.every((value, i) => value === known.values[i])) return known.controls;
    const [lr, momentum, weightDecay] = values;
    const controls = {
      [hyperControl(group, "lr")]: scalar(lr),
      [hyperControl(group, "momentum")]: scalar(momentum),
      [hyperControl(group, "weight_decay")]: scalar(weightDecay),
    };
    this.#controls.set(group, { values, controls });
    return controls;
  }
}
