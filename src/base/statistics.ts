export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** The largest value; −Infinity where there are none. Of any number of values, unlike the arguments of Math.max. */
export function maxOf(values: Iterable<number>): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const value of values) largest = Math.max(largest, value);
  return largest;
}

/** The smallest value; Infinity where there are none. */
export function minOf(values: Iterable<number>): number {
  let least = Number.POSITIVE_INFINITY;
  for (const value of values) least = Math.min(least, value);
  return least;
}

/** By nearest rank: the least value that `share` of all values do not exceed. NaN where there are no values. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** Student's t, two-sided 95 %, by degrees of freedom from 1. */
const T_95 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131,
  2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];
const T_95_LARGE = 1.96;

/** The mean of a sample, its standard error, and half of its 95 % interval; NaN where there are too few values. */
export function meanInterval(values: readonly number[]): {
  readonly mean: number;
  readonly stdErr: number;
  readonly half: number;
} {
  const n = values.length;
  const centre = mean(values);
  const stdErr =
    n < 2 ? Number.NaN : Math.sqrt(sum(values.map((value) => (value - centre) ** 2)) / (n - 1) / n);
  return { mean: centre, stdErr, half: (T_95[n - 2] ?? T_95_LARGE) * stdErr };
}

/** NaN where there are no values. */
export function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}
