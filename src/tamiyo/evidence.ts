/** What several measurements of one effect come to, and what follows from it. */
import { mean } from "../base/index.js";
import type { Estimate } from "../contracts/index.js";

/**
 * The mean of repeated measurements with its standard error. All are taken on the same held-out rows, so their row-wise
 * errors do not average out: what is added is the scatter between the measurements.
 */
export function pooled(measurements: readonly Estimate[]): Estimate {
  const n = measurements.length;
  if (n === 0) return { value: Number.NaN, stdErr: Number.NaN };
  const value = mean(measurements.map((one) => one.value));
  const within = mean(measurements.map((one) => one.stdErr ** 2));
  const between = n > 1 ? mean(measurements.map((one) => (one.value - value) ** 2)) / (n - 1) : 0;
  return { value, stdErr: Math.sqrt(within + between) };
}

export type Verdict = "above" | "below" | "unclear";

/** On which side of `threshold` an effect is by `confidence` standard errors. What is not finite is below. */
export function verdictOf({ value, stdErr }: Estimate, threshold: number, confidence: number): Verdict {
  if (!Number.isFinite(value) || !Number.isFinite(stdErr)) return "below";
  if (value - confidence * stdErr > threshold) return "above";
  return value + confidence * stdErr < threshold ? "below" : "unclear";
}

export function describeEstimate({ value, stdErr }: Estimate): string {
  return `${value.toFixed(5)} ± ${stdErr.toFixed(5)}`;
}
