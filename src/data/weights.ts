/** How much each row counts, as scikit-learn's `sample_weight`: read from a column, and scaled to a mean of 1. */
import { KasminaError } from "../base/errors.js";
import { maxOf, mean } from "../base/statistics.js";
import { type CellOptions, placeOf } from "./column-reader.js";
import { isMissing, parseNumber } from "./labels.js";

/**
 * Reads a column of weights.
 * @returns the weight of a cell; throws KasminaError `invalid_data` by row and column for one that is no number of 0 or more
 */
export function weightReader(
  column: string,
  { name, missing, decimal }: Pick<CellOptions, "name" | "missing" | "decimal">,
): (cell: string, row: number) => number {
  return (cell, row) => {
    const weight = parseNumber(decimal === "," ? cell.replace(",", ".") : cell);
    if (weight !== undefined && weight >= 0) return weight;
    const what = isMissing(cell, missing) ? "no weight" : `"${cell}" is no weight, a number of 0 or more`;
    throw new KasminaError("invalid_data", `${placeOf(row, column, name)}: ${what}`);
  };
}

/**
 * Their mean becomes 1, so that a sum over rows stays about as large as without weights.
 *
 * @param what names the rows in errors
 * @throws KasminaError `invalid_data` for another number of them than rows, one that is below 0 or not finite, all of them 0
 */
export function scaledWeights(given: ArrayLike<number>, rows: number, what: string): Float32Array {
  if (given.length !== rows)
    throw new KasminaError("invalid_data", `${what}: ${rows} rows need as many weights, got ${given.length}`);
  const weights = Float64Array.from(given);
  const odd = weights.findIndex((weight) => !(weight >= 0 && weight < Number.POSITIVE_INFINITY));
  if (odd >= 0)
    throw new KasminaError(
      "invalid_data",
      `${what}: the weight of row ${odd} is ${weights[odd]}, it must be 0 or more`,
    );
  const largest = maxOf(weights);
  if (largest === 0) throw new KasminaError("invalid_data", `${what}: the weights of all rows are 0`);
  // Over the largest first: their sum may be more than a number can hold.
  const average = mean(Array.from(weights, (weight) => weight / largest));
  // Minus zero is zero.
  return Float32Array.from(weights, (weight) => weight / largest / average + 0);
}
