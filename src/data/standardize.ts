/** Columns with mean 0 and deviation 1, computed in float64: float32 would make one value of all of today's milliseconds. */
import { KasminaError } from "../base/errors.js";
import type { ColumnScaling } from "../contracts/dataset.js";

/** Less than this part of its mean, and a column's deviation is the rounding of whoever computed it. */
const RELATIVE_DEVIATION_MIN = 1e-13;

/** float64 [rows, columns], row after row. */
export interface Columns {
  readonly names: readonly string[];
  readonly values: Float64Array;
}

/**
 * Mean and deviation of each column over `rows`; the deviation of a column that is constant, but for rounding, is 0.
 *
 * @throws KasminaError `invalid_data` for a column whose values are too large to be added up
 */
export function columnScaling({ names, values }: Columns, rows: Int32Array, what: string): ColumnScaling[] {
  const width = names.length;
  return names.map((name, column) => {
    const at = (row: number): number => values[row * width + column] ?? 0;
    const mean = meanOver(rows, at);
    const deviation = deviationOver(rows, (row) => at(row) - mean);
    if (!Number.isFinite(mean) || !Number.isFinite(deviation)) {
      throw new KasminaError(
        "invalid_data",
        `${what}: the values of column "${name}" are too large to scale`,
      );
    }
    const isConstant = deviation <= RELATIVE_DEVIATION_MIN * Math.abs(mean);
    return { name, mean, deviation: isConstant ? 0 : deviation };
  });
}

/** The running mean, whose sums do not grow, and a second pass for what rounding left. */
function meanOver(rows: Int32Array, at: (row: number) => number): number {
  let mean = 0;
  rows.forEach((row, i) => {
    mean += (at(row) - mean) / (i + 1);
  });
  let rest = 0;
  rows.forEach((row, i) => {
    rest += (at(row) - mean - rest) / (i + 1);
  });
  return mean + rest;
}

/** Of differences from the mean, in units of the largest, whose squares do not overflow. */
function deviationOver(rows: Int32Array, difference: (row: number) => number): number {
  let largest = 0;
  for (const row of rows) largest = Math.max(largest, Math.abs(difference(row)));
  if (largest === 0) return 0;
  let squares = 0;
  for (const row of rows) squares += (difference(row) / largest) ** 2;
  return largest * Math.sqrt(squares / rows.length);
}

/**
 * (value − mean) / deviation of the given rows, and 0 for a constant column, whatever it holds: nothing was learnt of it.
 *
 * @throws KasminaError `invalid_data` for a value so far off that float32 cannot hold it
 */
export function standardizedRows(
  { names, values }: Columns,
  scaling: readonly ColumnScaling[],
  rows: Int32Array,
  what: string,
): Float32Array {
  const width = names.length;
  const scaled = new Float32Array(rows.length * width);
  rows.forEach((row, i) => {
    for (let column = 0; column < width; column++) {
      const { mean = 0, deviation = 0 } = scaling[column] ?? {};
      const value = values[row * width + column] ?? 0;
      const result = deviation === 0 ? 0 : Math.fround((value - mean) / deviation);
      if (!Number.isFinite(result)) {
        throw new KasminaError(
          "invalid_data",
          `${what}: row ${row + 1}, column "${names[column]}": ${value} is too far from the others`,
        );
      }
      scaled[i * width + column] = result;
    }
  });
  return scaled;
}
