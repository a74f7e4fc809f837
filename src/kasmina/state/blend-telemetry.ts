/** What telemetry reports of a blend, from the very weights that a step was fed. */
import { percentile } from "../../base/index.js";
import type { BlendConfig, BlendMode } from "../../contracts/index.js";
import type { BlendWeights } from "./blending.js";

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
