/** Baselines to compare with: they measure nothing, and give each stage so many observations. */
import { Random } from "../base/index.js";
import type { SystemState } from "../contracts/index.js";
import { GrowthPolicy, type GrowthPolicyOptions, type Strategy } from "./growth-policy.js";
import { FixedJudge, type StageLengths } from "./judge.js";
import type { Arm } from "./policy.js";

export interface SchedulePolicyOptions extends GrowthPolicyOptions, Partial<StageLengths> {
  /** Parts of the run, 0..1, after which the seeds germinate, in order. Default 0.2, 0.45. */
  readonly at?: readonly number[];
}

export const STAGE_LENGTHS: StageLengths = { training: 8, shadowing: 2, probation: 3 };

/** Seeds at set parts of the run, blueprints and slots in turn. */
export class SchedulePolicy extends GrowthPolicy {
  constructor(options: SchedulePolicyOptions) {
    super(options, new ScheduleStrategy(options));
  }
}

class ScheduleStrategy implements Strategy {
  readonly version = "schedule-2";
  readonly judge: FixedJudge;
  readonly #at: readonly number[];

  constructor({ at = [0.2, 0.45], ...lengths }: SchedulePolicyOptions) {
    this.judge = new FixedJudge({ ...STAGE_LENGTHS, ...lengths });
    this.#at = at;
  }

  reason({ epoch, epochs }: SystemState, germinated: number): string | undefined {
    const part = this.#at[germinated];
    if (part === undefined || epoch < part * epochs) return undefined;
    return `epoch ${epoch} is past ${part * 100} % of the run`;
  }

  rank(arms: readonly Arm[], germinated: number): readonly Arm[] {
    const first = germinated % Math.max(1, arms.length);
    return [...arms.slice(first), ...arms.slice(0, first)];
  }

  snapshot(): unknown {
    return null;
  }

  /** There is nothing that it remembers. */
  restore(): void {}
}

export interface RandomPolicyOptions extends GrowthPolicyOptions, Partial<StageLengths> {
  /** Everything it draws follows from it. */
  readonly seed: number;
  /** Chance that it germinates at an observation at which nothing grows. Default 0.1. */
  readonly chance?: number;
}

/** A random blueprint in a random slot at a random time. */
export class RandomPolicy extends GrowthPolicy {
  constructor(options: RandomPolicyOptions) {
    super(options, new RandomStrategy(options));
  }
}

class RandomStrategy implements Strategy {
  readonly version = "random-2";
  readonly judge: FixedJudge;
  readonly #chance: number;
  #random: Random;

  constructor({ seed, chance = 0.1, ...lengths }: RandomPolicyOptions) {
    this.judge = new FixedJudge({ ...STAGE_LENGTHS, ...lengths });
    this.#random = Random.forLabel(seed, "tamiyo/random");
    this.#chance = chance;
  }

  reason(): string | undefined {
    const drawn = this.#random.uniform();
    return drawn < this.#chance ? `drew ${drawn.toFixed(3)}, under ${this.#chance}` : undefined;
  }

  rank(arms: readonly Arm[]): readonly Arm[] {
    return this.#random.shuffle([...arms]);
  }

  snapshot(): unknown {
    return this.#random.state();
  }

  restore(snapshot: unknown): void {
    this.#random = Random.fromState(snapshot as ReturnType<Random["state"]>);
  }
}
