/** Where two classes are told apart by a threshold: of rows on which the likelier one is not the better answer, as where one is rare. */
import { KasminaError, sum } from "../base/index.js";
import { probabilityOfSecond, requireFiniteOutputs } from "./metrics.js";

/** What a threshold is chosen for: the mean recall of the two classes, or the F1 of the second. */
export const THRESHOLD_AIMS = ["balanced_accuracy", "f1"] as const;
export type ThresholdAim = (typeof THRESHOLD_AIMS)[number];

/**
 * The threshold by which `aim` is highest on these rows: halfway between two probabilities that occur; of several the one next to a half.
 *
 * @param outputs [rows, 2], before the softmax @param labels 0 or 1 a row @param weights how much each row counts
 * @throws KasminaError `invalid_data` where the rows are all of one class, `loss_not_finite` for an output that is not finite
 */
export function chooseThreshold(
  outputs: Float32Array,
  labels: Int32Array | Float32Array,
  aim: ThresholdAim,
  weights?: Float32Array,
): number {
  requireFiniteOutputs(outputs);
  const rows = Array.from(labels, (label, row) => ({
    label,
    weight: weights?.[row] ?? 1,
    probability: probabilityOfSecond(outputs.subarray(2 * row, 2 * row + 2)),
  })).sort((a, b) => b.probability - a.probability);
  const of = (wanted: number): number =>
    sum(rows.map(({ label, weight }) => (label === wanted ? weight : 0)));
  const [positives, negatives] = [of(1), of(0)];
  if (positives === 0 || negatives === 0)
    throw new KasminaError("invalid_data", "threshold: the held-out rows are all of one class");
  const value = (found: number, said: number): number =>
    aim === "f1"
      ? (2 * found) / (positives + said)
      : (found / positives + (negatives - (said - found)) / negatives) / 2;
  let best = { value: value(0, 0), threshold: 1 };
  let [found, said] = [0, 0];
  for (const [at, { label, weight, probability }] of rows.entries()) {
    found += label * weight;
    said += weight;
    const next = rows[at + 1]?.probability ?? 0;
    if (next === probability) continue;
    const one = { value: value(found, said), threshold: (probability + next) / 2 };
    const isNearer = Math.abs(one.threshold - 0.5) < Math.abs(best.threshold - 0.5);
    if (one.value > best.value || (one.value === best.value && isNearer)) best = one;
  }
  return best.threshold;
}
