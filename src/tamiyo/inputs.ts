/** Whether what a policy sees is fit to decide on: fresh, complete, finite. */
import { type Estimate, isBlended, type SeedState, type SystemState } from "../contracts/index.js";

export interface InputHealth {
  /** Fraction of the wanted features that are there, 0..1. */
  readonly coverage: number;
  /** Names of those that are not; none where all is well. */
  readonly missing: readonly string[];
}

/**
 * Features wanted: the losses and the score of the task, a step that has moved since `lastStep`, closed breakers, and for each
 * growing seed the effect that its stage is judged by.
 */
export function inspectInputs(
  state: SystemState,
  lastStep = -1,
  absent: readonly string[] = [],
): InputHealth {
  const features: readonly (readonly [name: string, present: boolean])[] = [
    ["fresh_state", state.step > lastStep],
    ["train_loss", Number.isFinite(state.trainLoss)],
    ["held_out_loss", isMeasured(state.heldOutLoss)],
    ["held_out_score", Number.isFinite(state.heldOutAccuracy ?? state.heldOutR2 ?? state.heldOutMicroF1)],
    ["closed_breakers", (state.openBreakers ?? []).length === 0],
    ...state.seeds.flatMap(seedFeatures),
    ...absent.map((name) => [name, false] as const),
  ];
  const missing = features.filter(([, present]) => !present).map(([name]) => name);
  return { coverage: 1 - missing.length / features.length, missing };
}

function seedFeatures(seed: SeedState): (readonly [string, boolean])[] {
  if (seed.pausedFrom !== undefined) return [];
  if (seed.stage === "TRAINING") return [[`${seed.id}.shadow_gain`, isMeasured(seed.shadowGain)]];
  return isBlended(seed.stage) ? [[`${seed.id}.contribution`, isMeasured(seed.contribution)]] : [];
}

function isMeasured(estimate: Estimate | undefined): boolean {
  return estimate !== undefined && Number.isFinite(estimate.value) && Number.isFinite(estimate.stdErr);
}
