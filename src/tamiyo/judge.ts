/** When a seed goes on, and when it has to go: by what was measured of it, or by the number of observations alone. */
import { type AdvancingOperation, DEFAULT_BLEND, type Estimate, type SeedState } from "../contracts/index.js";
import { advance, cull, logitsOf } from "./decisions.js";
import { describeEstimate, pooled, verdictOf } from "./evidence.js";
import type { Decision } from "./policy.js";
import type { SeedNotes } from "./seed-notes.js";

export interface SeedJudge {
  /** Observations that a seed stays in TRAINING, at most. */
  readonly maxTraining: number;
  /** What is to become of a seed that no command is on its way to; undefined: wait. */
  judge(seed: SeedState, notes: SeedNotes): Decision | undefined;
}

export interface EvidenceRules {
  /** Observations a seed trains at least before it may go on, and at most; it has half of those before it may fail. */
  readonly minTraining: number;
  readonly maxTraining: number;
  /** Standard errors by which an effect must clear the threshold. */
  readonly confidence: number;
  /** The effect, in nats, that a seed must clear to be kept. */
  readonly threshold: number;
  /** Observations in SHADOWING and in PROBATIONARY before a seed is judged. */
  readonly minShadowing: number;
  readonly minProbation: number;
  /** Observations in either after which an effect that is still unclear is none. */
  readonly patience: number;
}

/**
 * Measurements that count of a seed that learns, in TRAINING and in PROBATIONARY: older ones are of another seed. Judged by all
 * eight of its probation, a seed on spirals was culled whose absence raised the loss by 8 % by then.
 */
const RECENT = 3;
/**
 * Standard errors that do at the end of training, as for gate G2. A shadow gain is small against what a seed brings once
 * host and seed learn together, and the counterfactual, which has the last word, is asked for the full confidence.
 */
const LENIENT = 1;
/** A gain that rose by less than this factor over {@link RECENT} observations is flattening. */
const FLATTENING = 1.1;

/** Keeps what is clearly above the threshold, culls what is clearly below it, and what stays unclear for too long. */
export class EvidenceJudge implements SeedJudge {
  readonly #rules: EvidenceRules;

  constructor(rules: EvidenceRules) {
    this.#rules = rules;
  }

  get maxTraining(): number {
    return Math.max(this.#rules.minTraining, this.#rules.maxTraining);
  }

  judge(seed: SeedState, notes: SeedNotes): Decision | undefined {
    switch (seed.stage) {
      case "TRAINING":
        return this.#training(seed, notes);
      case "SHADOWING":
        return this.#counterfactual(seed, notes, "START_PROBATION", this.#rules.minShadowing);
      case "PROBATIONARY":
        return this.#counterfactual(seed, notes, "FOSSILIZE", this.#rules.minProbation);
      default:
        return withoutEvidence(seed, notes);
    }
  }

  #training(seed: SeedState, { observations, measured }: SeedNotes): Decision | undefined {
    const { minTraining, maxTraining, threshold, confidence } = this.#rules;
    const last = measured.at(-1);
    if (last && !Number.isFinite(last.value)) return cull(seed, `its shadow gain is ${last.value}`);
    if (observations < minTraining || !last) return undefined;
    const gain = pooled(measured.slice(-RECENT));
    const said = `shadow gain ${describeEstimate(gain)}`;
    const verdict = verdictOf(gain, threshold, confidence);
    const isLast = observations >= maxTraining;
    if (verdict === "above" && (isLast || isFlattening(measured))) return blending(seed, gain, said);
    const mayFail = observations >= maxTraining / 2;
    if (verdict === "below" && mayFail && !isRising(measured))
      return cull(seed, `${said} is below ${threshold}`);
    if (!isLast) return undefined;
    return verdictOf(gain, threshold, LENIENT) === "above"
      ? blending(seed, gain, `${said}, as good as it got`)
      : cull(seed, `${said} after ${observations} observations`);
  }

  #counterfactual(
    seed: SeedState,
    { observations, measured }: SeedNotes,
    next: AdvancingOperation,
    minObservations: number,
  ): Decision | undefined {
    const { threshold, confidence, patience } = this.#rules;
    if (observations < minObservations || measured.length === 0) return undefined;
    const counted = seed.stage === "PROBATIONARY" ? measured.slice(-RECENT) : measured;
    const effect = pooled(counted);
    const said = `contribution ${describeEstimate(effect)} over ${counted.length} evaluations`;
    const verdict = verdictOf(effect, threshold, confidence);
    if (verdict === "above") return advance(seed, next, said, logitsOf(effect));
    if (verdict === "below") return cull(seed, `${said} is below ${threshold}`);
    return observations >= Math.max(patience, minObservations)
      ? cull(seed, `${said} is not clear of ${threshold}`)
      : undefined;
  }
}

/** Observations that a seed spends in each stage, whatever is measured. The gates still refuse what they refuse. */
export interface StageLengths {
  readonly training: number;
  readonly shadowing: number;
  readonly probation: number;
}

export class FixedJudge implements SeedJudge {
  readonly #lengths: StageLengths;

  constructor(lengths: StageLengths) {
    this.#lengths = lengths;
  }

  get maxTraining(): number {
    return this.#lengths.training;
  }

  judge(seed: SeedState, notes: SeedNotes): Decision | undefined {
    const { training, shadowing, probation } = this.#lengths;
    const said = `${notes.observations} observations in ${seed.stage}`;
    switch (seed.stage) {
      case "TRAINING":
        return notes.observations < training ? undefined : blending(seed, pooled(notes.measured), said);
      case "SHADOWING":
        return notes.observations < shadowing ? undefined : advance(seed, "START_PROBATION", said);
      case "PROBATIONARY":
        return notes.observations < probation ? undefined : advance(seed, "FOSSILIZE", said);
      default:
        return withoutEvidence(seed, notes);
    }
  }
}

/** The stages that end by themselves. */
function withoutEvidence(seed: SeedState, { observations }: SeedNotes): Decision | undefined {
  if (seed.stage === "GERMINATED") return advance(seed, "START_TRAINING", "its kernel is attached");
  if (seed.stage !== "BLENDING" || !seed.rampDone || observations < 1) return undefined;
  return advance(seed, "START_SHADOWING", `alpha is at ${seed.alpha}`);
}

function blending(seed: SeedState, gain: Estimate, why: string): Decision {
  const logits = logitsOf(gain);
  return {
    ...advance(seed, "START_BLENDING", why, logits),
    blend: { ...DEFAULT_BLEND, confidenceLogits: logits },
  };
}

function isFlattening(gains: readonly Estimate[]): boolean {
  const before = gains.at(-RECENT)?.value ?? Number.POSITIVE_INFINITY;
  return (gains.at(-1)?.value ?? 0) < FLATTENING * before;
}

/** A seed that is behind but catches up may stay until its time is over. */
function isRising(gains: readonly Estimate[]): boolean {
  const [first, last] = [gains.at(-RECENT), gains.at(-1)];
  return first !== undefined && last !== undefined && last.value - last.stdErr > first.value;
}
