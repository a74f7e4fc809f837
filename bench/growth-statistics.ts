/** Statistics of paired runs. */
import type { Figures } from "./measurement.js";

/** Student's t, two-sided 95 %, by degrees of freedom from 1. */
const T_95 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145,
];
const T_95_LARGE = 1.96;

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

export function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}

/** Mean of paired differences with its 95 % interval. */
export function paired(differences: readonly number[]): Figures {
  const n = differences.length;
  const centre = mean(differences);
  const variance = differences.reduce((sum, value) => sum + (value - centre) ** 2, 0) / Math.max(1, n - 1);
  const half = (T_95[n - 2] ?? T_95_LARGE) * Math.sqrt(variance / n);
  return {
    mean: centre,
    low: centre - half,
    high: centre + half,
    better: `${differences.filter((value) => value > 0).length} of ${n}`,
  };
}
