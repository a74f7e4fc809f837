/** Takes in what the trainer measures, for the gates to read and for the world to see. */

import { stageWords } from "../../contracts/names.js";
import type { Estimate } from "../../contracts/ports.js";
import { isInOutput } from "../../contracts/stages.js";
import type { MetricName } from "../../contracts/telemetry.js";
import { alphaAt, type BlendWeights, blendTelemetry } from "../state/blending.js";
import type { RunState } from "../state/run-state.js";
import { alphaSteps, type MutableSeed, pushed, type Seed } from "../state/seed.js";

export interface SeedStepMeasurement {
  /** L2 norm of the seed's gradient. */
  readonly gradientNorm?: number;
  /** The loss the seed learns on: its shadow loss in TRAINING, else the network's. */
  readonly loss?: number;
  /** The weights that the step was fed; left out where the seed is not in the output. */
  readonly blend?: BlendWeights;
}

export interface StepMeasurement {
  /** Of the network. */
  readonly loss: number;
  readonly seeds: Readonly<Record<string, SeedStepMeasurement>>;
}

export interface SeedEvaluation {
  /** Held-out host loss − held-out shadow loss. */
  readonly shadowGain?: Estimate;
  /** Held-out loss without the seed − with it. */
  readonly contribution?: Estimate;
}

export interface EvaluationMeasurement {
  /** Of the network, held out. */
  readonly loss: Estimate;
  readonly seeds: Readonly<Record<string, SeedEvaluation>>;
}

export function recordStep(state: RunState, measured: StepMeasurement): void {
  const length = state.config.gates.windowSteps;
  for (const [id, { gradientNorm, loss, blend }] of Object.entries(measured.seeds)) {
    const seed = state.registry.get(id);
    const { gradientNorms, losses } = seed.stats;
    seed.stats = {
      ...seed.stats,
      gradientNorms: gradientNorm === undefined ? gradientNorms : pushed(gradientNorms, gradientNorm, length),
      losses: loss === undefined ? losses : pushed(losses, loss, length),
    };
    if (gradientNorm !== undefined) state.telemetry.gauge(id, "kasmina.seed.gradient_norm", gradientNorm);
    if (blend) gaugeBlend(state, seed, blend);
  }
}

function gaugeBlend(state: RunState, seed: MutableSeed, weights: BlendWeights): void {
  const { mode, source, ...figures } = blendTelemetry(seed.blend, weights);
  for (const [name, metric] of BLEND_METRICS)
    state.telemetry.gauge(seed.id, metric, figures[name], { mode, source });
}

const BLEND_METRICS = [
  ["alphaMean", "kasmina.blend.alpha_mean"],
  ["alphaP95", "kasmina.blend.alpha_p95"],
  ["alphaSparsity", "kasmina.blend.alpha_sparsity"],
  ["gateMean", "kasmina.blend.gate_mean"],
  ["gateMin", "kasmina.blend.gate_min"],
  ["gateMax", "kasmina.blend.gate_max"],
  ["clampedFraction", "kasmina.blend.clamped_fraction"],
] as const;

export function recordEvaluation(state: RunState, measured: EvaluationMeasurement): void {
  for (const [id, { shadowGain, contribution }] of Object.entries(measured.seeds)) {
    const seed = state.registry.get(id);
    seed.stats = {
      ...seed.stats,
      ...(shadowGain && { shadowGain }),
      ...(contribution && { contribution }),
      evaluatedIn: seed.stage,
    };
    if (shadowGain) state.telemetry.gauge(id, "kasmina.seed.shadow_gain", shadowGain.value);
    if (contribution) state.telemetry.gauge(id, "kasmina.seed.contribution", contribution.value);
  }
}

/** Shares of a training step's FLOPs, by seed. */
export function recordStepShares(state: RunState, shares: Readonly<Record<string, number>>): void {
  for (const [id, stepShare] of Object.entries(shares)) {
    const seed = state.registry.get(id);
    seed.stats = { ...seed.stats, stepShare };
  }
}

/** The seed's alpha at a step: 0 before its ramp starts and once it is culled. A paused seed's stands still. */
export function alphaOf(seed: Seed, step: number): number {
  return isInOutput(seed.stage) ? alphaAt(seed.blend, alphaSteps(seed, step)) : 0;
}

/** Sets the gauges that every packet of a seed carries. */
export function gaugeSeed(state: RunState, seed: MutableSeed, step: number): void {
  const gauge = (name: MetricName, value: number): void => state.telemetry.gauge(seed.id, name, value);
  gauge("kasmina.seed.stage", stageWords.code(seed.stage));
  gauge("kasmina.seed.alpha", alphaOf(seed, step));
  gauge("kasmina.seed.alpha_steps", alphaSteps(seed, step));
  gauge("kasmina.seed.kernel_attached", seed.kernel ? 1 : 0);
  gauge("kasmina.seed.isolation_violations", seed.stats.isolationViolations);
  if (seed.kernel) gauge("kasmina.seed.kernel_latency_ms", seed.kernel.prewarmP95Ms);
  if (seed.stats.stepShare !== undefined) gauge("kasmina.seed.step_share", seed.stats.stepShare);
}
