/** A baseline: a random blueprint in a random slot at a random time, so many observations a stage. It measures nothing. */
import { Random } from "../base/index.js";
import { GrowthPolicy, type GrowthPolicyOptions, type Strategy } from "./growth-policy.js";
import { FixedJudge, type StageLengths } from "./judge.js";
import type { Arm } from "./policy.js";
import { STAGE_LENGTHS } from "./schedule-policy.js";

export interface RandomPolicyOptions extends GrowthPolicyOptions, Partial<StageLengths> {
  /** Everything it draws follows from it. */
  readonly seed: number;
  /** Chance that it germinates at an observation at which nothing grows. Default 0.1. */
  readonly chance?: number;
}

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
