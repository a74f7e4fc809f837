/** How decisions are put together, so that each has its one line and its odds. */
import {
  type AdvancingOperation,
  type BlendSchedule,
  DEFAULT_BLEND,
  type Estimate,
  type SeedState,
} from "../contracts/index.js";
import type { Arm, Decision } from "./policy.js";

/** Odds of a decision that nothing was weighed for. */
const SURE = [1, 0];
/** Odds are cut here: standard errors beyond it say nothing more. */
const MAX_LOGIT = 10;

export function germination(seedId: string, { slotId, candidate }: Arm, why: string): Decision {
  return {
    action: "germinate",
    seedId,
    slotId,
    blueprintId: candidate.id,
    parameters: candidate.parameters,
    why: `germinate ${candidate.id} in ${slotId}: ${why}`,
    logits: SURE,
  };
}

export function advance(
  seed: SeedState,
  operation: AdvancingOperation,
  why: string,
  logits: readonly number[] = SURE,
): Extract<Decision, { action: "advance" }> {
  return {
    action: "advance",
    seedId: seed.id,
    operation,
    expectedStage: seed.stage,
    why: `${seed.id} ${operation}: ${why}`,
    logits,
  };
}

export function cull(seed: SeedState, why: string): Decision {
  return {
    action: "cull",
    seedId: seed.id,
    expectedStage: seed.stage,
    why: `${seed.id} CULL: ${why}`,
    logits: SURE,
  };
}

/** Options: go on, or not. The odds are those of the measured effect: its distance from zero in standard errors. */
export function logitsOf({ value, stdErr }: Estimate): readonly number[] {
  const z = value / Math.max(stdErr, Number.EPSILON);
  const bounded = Number.isNaN(z) ? 0 : Math.max(-MAX_LOGIT, Math.min(MAX_LOGIT, z));
  return [bounded, -bounded];
}

/**
 * The ramp of a seed, by how many steps lie between two observations. While alpha rises, seed and host learn to do with as much
 * of the seed as there is, and the next rise of alpha overshoots: with the sigmoid over 20 steps, whose middle steps raise
 * alpha by 0.15, the held-out loss rose by up to 7 % at one of them (spirals), with the straight line by up to 1.4 %.
 * So alpha rises evenly, and over half of the time to the next observation where that is longer: whoever waits for the ramp
 * to be over then does not wait any longer for it.
 */
export function rampFor(stepsBetween: number): BlendSchedule {
  return { steps: Math.max(DEFAULT_BLEND.schedule.steps, Math.floor(stepsBetween / 2)), curve: "linear" };
}
