/** G1, to TRAINING: is the kernel there, and does a finite gradient that is not nothing reach it? */
import { maxOf } from "../../base/statistics.js";
import { type Check, type CommonInputs, commonCheck, failing, type GateResult, judge } from "./gate.js";

export interface G1Inputs extends CommonInputs {
  readonly kernelAttached: boolean;
  readonly isolationViolations: number;
  /** Norms of the seed's gradient since it was attached, measured though it does not learn yet. */
  readonly gradientNorms: readonly number[];
  /** A norm at or under this is silent. */
  readonly silentGradientNorm: number;
}

export function g1GradientHealth(inputs: G1Inputs): GateResult {
  return judge(
    "G1_GRADIENT_HEALTH",
    () => commonCheck(inputs),
    () => (inputs.kernelAttached ? undefined : failing("kernel_not_attached")),
    () => isolationCheck(inputs.isolationViolations),
    () => gradientCheck(inputs),
  );
}

/** Shared with G4. */
export function isolationCheck(violations: number): Check {
  return violations === 0 ? undefined : failing("isolation_violations", { violations });
}

function gradientCheck({ gradientNorms, silentGradientNorm }: G1Inputs): Check {
  const broken = gradientNorms.find((norm) => !Number.isFinite(norm));
  if (broken !== undefined) return failing("gradient_not_finite", { gradient_norm: broken });
  const largest = Math.max(0, maxOf(gradientNorms));
  if (largest > silentGradientNorm) return undefined;
  return failing("gradient_silent", { gradient_norm: largest, measured: gradientNorms.length });
}
