/**
 * Blending (docs/architecture.md, "Blending"): which configurations are valid, how much of a seed enters the output step
 * by step, and what telemetry reports of it. All modes reach the compiled step as weights per channel, so a change of
 * mode or value never recompiles. Invalid configurations are refused, never repaired.
 */
import { percentile } from "../../base/index.js";
import type { BlendConfig, BlendMode } from "../../contracts/index.js";

export interface BlendLimits {
  readonly maxVector: number;
  readonly maxLogits: number;
}

/** What is wrong: the field, and what it should be. */
export interface BlendProblem {
  readonly field: string;
  readonly problem: string;
}

interface Rule {
  readonly field: string;
  readonly expected: string;
  readonly holds: (blend: BlendConfig, channels: number, limits: BlendLimits) => boolean;
}

const isFraction = (value: number): boolean => value >= 0 && value <= 1;
const isWhole = (value: number): boolean => Number.isInteger(value) && value >= 0;

/** Lengths stand before contents, so that an endless vector is never walked. */
const RULES: readonly Rule[] = [
  { field: "alpha_target", expected: "0 to 1", holds: (b) => isFraction(b.alphaTarget) },
  {
    field: "schedule.steps",
    expected: "a whole number, 0 or more",
    holds: (b) => isWhole(b.schedule.steps),
  },
  { field: "alpha_lo", expected: "0 to 1", holds: (b) => isFraction(b.alphaLo) },
  { field: "alpha_hi", expected: "0 to 1", holds: (b) => isFraction(b.alphaHi) },
  { field: "alpha_lo", expected: "at most alpha_hi", holds: (b) => b.alphaLo <= b.alphaHi },
  { field: "gate_k", expected: "finite", holds: (b) => Number.isFinite(b.gateK) },
  { field: "gate_tau", expected: "finite", holds: (b) => Number.isFinite(b.gateTau) },
  {
    field: "alpha_vec",
    expected: "at most the allowed length",
    holds: (b, _, { maxVector }) => b.alphaVec.length <= maxVector,
  },
  {
    field: "alpha_vec",
    expected: "at least one weight in CHANNEL mode",
    holds: (b) => b.mode !== "CHANNEL" || b.alphaVec.length > 0,
  },
  { field: "alpha_vec", expected: "weights of 0 to 1", holds: (b) => b.alphaVec.every(isFraction) },
  {
    field: "alpha_vec",
    expected: "a length that divides the channels",
    holds: (b, channels) => b.alphaVec.length === 0 || channels % b.alphaVec.length === 0,
  },
  {
    field: "confidence_logits",
    expected: "at most the allowed number",
    holds: (b, _, { maxLogits }) => b.confidenceLogits.length <= maxLogits,
  },
  {
    field: "confidence_logits",
    expected: "at least 2 in CONFIDENCE mode",
    holds: (b) => b.mode !== "CONFIDENCE" || b.confidenceLogits.length >= 2,
  },
  {
    field: "confidence_logits",
    expected: "finite logits",
    holds: (b) => b.confidenceLogits.every(Number.isFinite),
  },
];

/** The first rule that a configuration breaks on a slot of `channels` channels; undefined where it breaks none. */
export function blendProblem(
  blend: BlendConfig,
  channels: number,
  limits: BlendLimits,
): BlendProblem | undefined {
  const broken = RULES.find((rule) => !rule.holds(blend, channels, limits));
  return broken && { field: broken.field, problem: `${broken.field} must be ${broken.expected}` };
}

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
  const clamped = Math.min(Math.max(gated, config.alphaLo), config.alphaHi);
  // Never above α: at α = 0 the output is the host's, whatever the bounds say.
  const effective = config.mode === "CONFIDENCE" ? Math.min(alpha, clamped) : alpha;
  const seedWeight = new Float32Array(channels).fill(effective);
  if (config.mode === "CHANNEL") {
    const group = channels / config.alphaVec.length;
    for (let c = 0; c < channels; c++) seedWeight[c] = alpha * (config.alphaVec[Math.floor(c / group)] ?? 0);
  }
  const hostWeight = seedWeight.map((weight) => (config.mode === "RESIDUAL" ? 1 : 1 - weight));
  return { seedWeight, hostWeight, gate, clamped: clamped !== gated && config.mode === "CONFIDENCE" };
}

/** Where a mode takes its weights from, apart from the alpha ramp. */
export type BlendSource = "schedule" | "alpha_vec" | "confidence_logits";

export interface BlendTelemetry {
  readonly mode: BlendMode;
  readonly source: BlendSource;
  /** Over the channels. */
  readonly alphaMean: number;
  /** 95th percentile over the channels, by nearest rank. */
  readonly alphaP95: number;
  /** Fraction of the channels whose alpha is under 0.05. */
  readonly alphaSparsity: number;
  /** The confidence gate, 0 to 1; 1 in the other modes. One value serves all channels. */
  readonly gateMean: number;
  readonly gateMin: number;
  readonly gateMax: number;
  /** Fraction of the channels whose alpha was cut by alpha_lo or alpha_hi. */
  readonly clampedFraction: number;
}

const SOURCES: { readonly [M in BlendMode]: BlendSource } = {
  CONVEX: "schedule",
  RESIDUAL: "schedule",
  CHANNEL: "alpha_vec",
  CONFIDENCE: "confidence_logits",
};
const SPARSE_UNDER = 0.05;

/** The telemetry of one seed at one step. `weights` are left as they are. */
export function blendTelemetry(
  { mode }: Pick<BlendConfig, "mode">,
  { seedWeight, gate, clamped }: BlendWeights,
): BlendTelemetry {
  const alphas = [...seedWeight];
  return {
    mode,
    source: SOURCES[mode],
    alphaMean: alphas.reduce((sum, alpha) => sum + alpha, 0) / alphas.length,
    alphaP95: percentile(alphas, 0.95),
    alphaSparsity: alphas.filter((alpha) => alpha < SPARSE_UNDER).length / alphas.length,
    gateMean: gate,
    gateMin: gate,
    gateMax: gate,
    clampedFraction: clamped ? 1 : 0,
  };
}
