/**
 * The policy that a run has by default. It waits until the held-out loss flattens (or a set epoch), lets a bandit choose
 * blueprint and slot by the shadow gain that a FLOP and a parameter have bought so far, and keeps a seed where its
 * measured effect is clear of zero.
 */
import type { SystemState } from "../contracts/index.js";
import { type BanditRecord, ranked, rewarded } from "./bandit.js";
import { type PlateauRule, plateauOf } from "./evidence.js";
import { GrowthPolicy, type GrowthPolicyOptions, type Strategy, type Trial } from "./growth-policy.js";
import { EvidenceJudge, type EvidenceRules, type SeedJudge } from "./judge.js";
import type { Arm } from "./policy.js";

export interface PlateauPolicyOptions extends GrowthPolicyOptions, Partial<EvidenceRules> {
  /** Germinate first at this epoch (from 0), whatever the loss does; else at a plateau. */
  readonly germinateAtEpoch?: number;
  /** Observations that a plateau is judged on. Default 4. */
  readonly plateauWindow?: number;
  /** A relative fall of the held-out loss over the window that is less than this is a plateau. Default 0.3. */
  readonly plateauImprovement?: number;
}

/** Of {@link EvidenceRules}, where nothing else is said. */
export const EVIDENCE_DEFAULTS: EvidenceRules = {
  minTraining: 5,
  maxTraining: 16,
  confidence: 2,
  threshold: 0,
  minShadowing: 2,
  minProbation: 3,
  patience: 8,
};

/**
 * The default policy: germinates when the held-out loss flattens, chooses blueprint and slot by a bandit, and keeps or culls by
 * what was measured (docs/policy.md).
 *
 * @example
 * ```ts
 * import { grow, PlateauPolicy } from "kasmina";
 *
 * const policy = new PlateauPolicy({ blueprints: [{ id: "mlp-residual", parameters: { hidden: 32 } }], maxSeeds: 1 });
 * await grow({ data: "spirals", policy });
 * ```
 */
export class PlateauPolicy extends GrowthPolicy {
  constructor(options: PlateauPolicyOptions) {
    super(options, new PlateauStrategy(options));
  }
}

interface Memory {
  losses: readonly number[];
  bandit: BanditRecord;
}

class PlateauStrategy implements Strategy {
  readonly version = "plateau-3";
  readonly judge: SeedJudge;
  readonly #rule: PlateauRule;
  readonly #atEpoch: number | undefined;
  #memory: Memory = { losses: [], bandit: [] };

  constructor({
    germinateAtEpoch,
    plateauWindow = 4,
    plateauImprovement = 0.3,
    ...rest
  }: PlateauPolicyOptions) {
    this.judge = new EvidenceJudge({ ...EVIDENCE_DEFAULTS, ...rest });
    this.#rule = { window: plateauWindow, improvement: plateauImprovement };
    this.#atEpoch = germinateAtEpoch;
  }

  watch({ heldOutLoss }: SystemState): void {
    if (heldOutLoss && Number.isFinite(heldOutLoss.value))
      this.#memory.losses = [...this.#memory.losses, heldOutLoss.value].slice(-this.#rule.window);
  }

  reason({ epoch }: SystemState): string | undefined {
    if (this.#atEpoch !== undefined) return epoch >= this.#atEpoch ? `epoch ${epoch} has come` : undefined;
    const { window, improvement } = this.#rule;
    const trend = plateauOf(this.#memory.losses, this.#rule);
    if (!trend) return undefined;
    const fall = `${(trend.fall * 100).toFixed(1)} %`;
    return `the held-out loss fell by ${fall} over ${window} observations, under ${improvement * 100} %`;
  }

  rank(arms: readonly Arm[]): readonly Arm[] {
    return ranked(this.#memory.bandit, arms);
  }

  /** The next plateau is one of the network with this seed. */
  germinated(): void {
    this.#memory.losses = [];
  }

  learn({ arm, ...trial }: Trial): void {
    this.#memory.bandit = rewarded(this.#memory.bandit, arm, rewardOf(trial));
  }

  snapshot(): unknown {
    return this.#memory;
  }

  restore(snapshot: unknown): void {
    this.#memory = snapshot as Memory;
  }
}

/** Shadow gain in nats for each host's worth of FLOPs and of parameters, both costs weighing the same (geometric mean). */
function rewardOf({ gain, flopShare = 1, parameterShare = 1 }: Omit<Trial, "arm">): number {
  return (
    gain.value / Math.sqrt(Math.max(flopShare, Number.EPSILON) * Math.max(parameterShare, Number.EPSILON))
  );
}
