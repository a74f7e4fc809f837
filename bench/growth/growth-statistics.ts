/** Statistics of paired runs. */
import { mean } from "kasmina/base";
import type { Figures } from "../measurement.js";

/** Student's t, two-sided 95 %, by degrees of freedom from 1. */
const T_95 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131,
  2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];
const T_95_LARGE = 1.96;

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
