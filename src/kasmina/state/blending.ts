/**
 * Blending (docs/architecture.md, "Blending"): how much of a seed enters the output, step by step. All modes reach the
 * compiled step as weights per channel, so a change of mode or value never recompiles.
 */
import type { BlendConfig } from "../../contracts/index.js";

export type RampCurve = BlendConfig["schedule"]["curve"];

/** α over the course of a ramp: exactly 0 at its start, exactly 1 at its end, never falling. `t` in [0, 1]. */
const CURVES: { readonly [K in RampCurve]: (t: number) => number } = {
  linear: (t) => t,
  cosine: (t) => (1 - Math.cos(Math.PI * t)) / 2,
  sigmoid: (t) => (logistic(12 * t - 6) - logistic(-6)) / (logistic(6) - logistic(-6)),
};

function logistic(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** α after `stepsDone` optimizer steps of a ramp: exactly 0 before the first, exactly the target from the last on. */
export function alphaAt(config: Pick<BlendConfig, "alphaTarget" | "schedule">, stepsDone: number): number {
  const { steps, curve } = config.schedule;
  if (stepsDone <= 0) return 0;
  if (stepsDone >= steps) return config.alphaTarget;
  return config.alphaTarget * CURVES[curve](stepsDone / steps);
}

/** top1 − top2 of the logits. */
export function logitMargin(logits: readonly number[]): number {
  const [top1 = 0, top2 = 0] = [...logits].sort((a, b) => b - a);
  return top1 - top2;
}

/** The weights of one seed at one step, as the compiled program takes them, with what telemetry reports of them. */
export interface BlendWeights {
  /** Weight of the seed per channel (of k for a delta kernel and for RESIDUAL, else of s). */
  readonly seedWeight: Float32Array;
  /** Weight of the host per channel where the kernel is a replacement. */
  readonly hostWeight: Float32Array;
  /** σ(k·(margin − τ)) in CONFIDENCE mode, else 1. */
  readonly gate: number;
  /** Whether alphaLo or alphaHi cut the effective α. */
  readonly clamped: boolean;
}

/**
 * The weights of a validated configuration at `alpha`, for `channels` channels.
 * CONVEX, CHANNEL and CONFIDENCE weigh s against h, RESIDUAL adds k to h.
 */
export function blendWeights(config: BlendConfig, alpha: number, channels: number): BlendWeights {
  const gate =
    config.mode === "CONFIDENCE"
      ? logistic(config.gateK * (logitMargin(config.confidenceLogits) - config.gateTau))
      : 1;
  const gated = alpha * gate;
  const effective =
    config.mode === "CONFIDENCE" ? Math.min(Math.max(gated, config.alphaLo), config.alphaHi) : alpha;
  const seedWeight = new Float32Array(channels).fill(effective);
  if (config.mode === "CHANNEL") {
    const group = channels / config.alphaVec.length;
    for (let c = 0; c < channels; c++) seedWeight[c] = alpha * (config.alphaVec[Math.floor(c / group)] ?? 0);
  }
  const hostWeight = seedWeight.map((weight) => (config.mode === "RESIDUAL" ? 1 : 1 - weight));
  return { seedWeight, hostWeight, gate, clamped: effective !== gated && config.mode === "CONFIDENCE" };
}
