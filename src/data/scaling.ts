/**
 * How numbers are brought to mean 0 and deviation 1, computed in float64: float32 would make one value of all of today's
 * milliseconds.
 */
import type { TargetScaling } from "../contracts/tasks.js";

/** Less than this part of its mean, and a column's deviation is the rounding of whoever computed it. */
const RELATIVE_DEVIATION_MIN = 1e-13;
/** Mean and deviation; a deviation that is the rounding of the values alone is 0. Neither is finite for values too large to be added up. */
export function scalingOf(values: Float64Array): { readonly mean: number; readonly deviation: number } {
  const mean = meanOf(values);
  const deviation = deviationOf(values.map((value) => value - mean));
  return { mean, deviation: deviation <= RELATIVE_DEVIATION_MIN * Math.abs(mean) ? 0 : deviation };
}

/** Targets of rows, row after row: (value − mean) / deviation. */
export function scaledTargets(
  values: ArrayLike<number>,
  targets: readonly Omit<TargetScaling, "name">[],
): Float32Array {
  return Float32Array.from(values, (value, i) => {
    const { mean, deviation } = targets[i % targets.length] as TargetScaling;
    return (value - mean) / deviation;
  });
}

/** The running mean, whose sums do not grow, and a second pass for what rounding left. */
function meanOf(values: Float64Array): number {
  let mean = 0;
  values.forEach((value, i) => {
    mean += (value - mean) / (i + 1);
  });
  let rest = 0;
  values.forEach((value, i) => {
    rest += (value - mean - rest) / (i + 1);
  });
  return mean + rest;
}

/** Of differences from the mean, in units of the largest, whose squares do not overflow. */
function deviationOf(differences: Float64Array): number {
  const largest = differences.reduce((most, difference) => Math.max(most, Math.abs(difference)), 0);
  if (largest === 0) return 0;
  const squares = differences.reduce((sum, difference) => sum + (difference / largest) ** 2, 0);
  return largest * Math.sqrt(squares / differences.length);
}
