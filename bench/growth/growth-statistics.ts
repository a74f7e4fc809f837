/** Statistics of paired runs. */
import { meanInterval } from "kasmina/base";
import type { Figures } from "../measurement.js";

/** Mean of paired differences with its 95 % interval. */
export function paired(differences: readonly number[]): Figures {
  const n = differences.length;
  const { mean: centre, half } = meanInterval(differences);
  return {
    mean: centre,
    low: centre - half,
    high: centre + half,
    better: `${differences.filter((value) => value > 0).length} of ${n}`,
  };
}
