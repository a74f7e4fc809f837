/**
 * How numbers are brought to mean 0 and deviation 1, computed in float64: float32 would make one value of all of today's
 * milliseconds.
 */
import { KasminaError } from "../base/errors.js";
import type { TargetScaling } from "../contracts/tasks.js";

/** Less than this part of its mean, and a column's deviation is the rounding of whoever computed it. */
const RELATIVE_DEVIATION_MIN = 1e-13;

/** Values in blocks, as often as asked: whoever has millions of them need not have them in memory at once. */
export type Blocks = () => Iterable<Float64Array>;

export interface Scaling {
  readonly mean: number;
  readonly deviation: number;
  /** Of values; of none, mean and deviation are 0. */
  readonly count: number;
}

/**
 * Mean and deviation; a deviation that is the rounding of the values alone is 0. Neither is finite for values too large to be added up.
 * Values are added up one by one in their order, so that the bits do not depend on the blocks.
 */
export function scalingOf(blocks: Blocks): Scaling {
  const { mean, count } = meanOf(blocks);
  const deviation = deviationOf(blocks, mean, count);
  return { mean, deviation: deviation <= RELATIVE_DEVIATION_MIN * Math.abs(mean) ? 0 : deviation, count };
}

/**
 * Of a number to be predicted, over the training rows.
 *
 * @param target its name
 * @param name names the data in errors
 * @throws KasminaError `invalid_data` where it does not vary, or cannot be added up
 */
export function targetScaling(blocks: Blocks, target: string, name: string): TargetScaling {
  const { mean, deviation } = scalingOf(blocks);
  if (!Number.isFinite(mean) || !Number.isFinite(deviation))
    throw new KasminaError(
      "invalid_data",
      `${name}: the values of target "${target}" are too large to scale`,
    );
  if (deviation > 0) return { name: target, mean, deviation };
  const [first] = [...blocks()].find((values) => values.length > 0) ?? [];
  throw new KasminaError(
    "invalid_data",
    `${name}: target "${target}" is ${first} in every training row: there is nothing to predict`,
  );
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
function meanOf(blocks: Blocks): { readonly mean: number; readonly count: number } {
  let mean = 0;
  let count = 0;
  for (const values of blocks()) for (const value of values) mean += (value - mean) / ++count;
  let rest = 0;
  let seen = 0;
  for (const values of blocks()) for (const value of values) rest += (value - mean - rest) / ++seen;
  return { mean: mean + rest, count };
}

/** Of differences from the mean, in units of the largest, whose squares do not overflow. */
function deviationOf(blocks: Blocks, mean: number, count: number): number {
  let largest = 0;
  for (const values of blocks())
    for (const value of values) largest = Math.max(largest, Math.abs(value - mean));
  if (largest === 0) return 0;
  let squares = 0;
  for (const values of blocks()) for (const value of values) squares += ((value - mean) / largest) ** 2;
  return largest * Math.sqrt(squares / count);
}
