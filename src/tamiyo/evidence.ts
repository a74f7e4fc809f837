/**
 * What measurements say: several of one effect pooled and compared with a threshold, and the trend of a series of losses, by
 * the least-squares line through the latest observations.
 */
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

export interface Trend {
  /** Change of the fitted line from one value to the next. */
  readonly slope: number;
  /** Standard error of the slope; 0 for two values, which fit any line. */
  readonly stdErr: number;
  /** By how much the fitted line falls over the series, relative to where it starts; negative where it rises. */
  readonly fall: number;
}

/** The line through values at equal distances; undefined for fewer than two values or any that is not finite. */
export function trendOf(values: readonly number[]): Trend | undefined {
  const n = values.length;
  if (n < 2 || !values.every(Number.isFinite)) return undefined;
  const centre = (n - 1) / 2;
  const mean = values.reduce((sum, value) => sum + value / n, 0);
  const spread = (n * (n * n - 1)) / 12;
  const slope = values.reduce((sum, value, i) => sum + (i - centre) * (value - mean), 0) / spread;
  const squares = values.reduce((sum, value, i) => sum + (value - mean - slope * (i - centre)) ** 2, 0);
  const stdErr = n > 2 ? Math.sqrt(squares / (n - 2) / spread) : 0;
  const start = mean - slope * centre;
  return { slope, stdErr, fall: start === 0 ? 0 : (-slope * (n - 1)) / Math.abs(start) };
}

export interface PlateauRule {
  /** Observations that are looked back on, at least 2. */
  readonly window: number;
  /** A relative fall over the window that is less than this is a plateau. */
  readonly improvement: number;
}

/** The trend of the last `window` losses where it is a plateau; undefined where it is none, or too few were seen. */
export function plateauOf(
  losses: readonly number[],
  { window, improvement }: PlateauRule,
): Trend | undefined {
  if (losses.length < window) return undefined;
  const trend = trendOf(losses.slice(-window));
  return trend && trend.fall < improvement ? trend : undefined;
}
