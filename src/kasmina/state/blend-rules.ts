/** Which blend configurations hold. Invalid ones are refused, never repaired. */
import type { BlendConfig } from "../../contracts/blend.js";

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
