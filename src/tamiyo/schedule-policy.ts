/** A baseline: seeds at set parts of the run, blueprints and slots in turn, so many observations a stage. It measures nothing. */
import type { SystemState } from "../contracts/index.js";
import { GrowthPolicy, type GrowthPolicyOptions, type Strategy } from "./growth-policy.js";
import { FixedJudge, type StageLengths } from "./judge.js";
import type { Arm } from "./policy.js";

export interface SchedulePolicyOptions extends GrowthPolicyOptions, Partial<StageLengths> {
  /** Parts of the run, 0..1, after which the seeds germinate, in order. Default 0.2, 0.45. */
  readonly at?: readonly number[];
}

export const STAGE_LENGTHS: StageLengths = { training: 8, shadowing: 2, probation: 3 };

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
