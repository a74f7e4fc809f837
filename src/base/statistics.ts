export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** By nearest rank: the least value that `share` of all values do not exceed. NaN where there are no values. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** NaN where there are no values. */
export function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}
