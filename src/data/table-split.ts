/** Which rows of a table serve what: a test table, by group, by time, else class by class. */
import { KasminaError } from "../base/errors.js";
import { heldOutFraction } from "./arrays.js";
import { type Groups, groupSplit, latestSplit, type Split, stratifiedSplit } from "./split.js";

/** Of the rows, the part that is tested on where nobody says otherwise. */
const TEST_FRACTION = 0.2;

/** By what rows are divided. */
export type DividedBy =
  | { readonly group: string; readonly groups: Groups }
  | { readonly moments: Float64Array }
  /** Of each row: what a split keeps the proportions of. */
  | { readonly strata: Int32Array };

export interface TableParts {
  /** Row numbers, ascending. */
  readonly train: Int32Array;
  readonly heldOut: Int32Array;
  readonly test: Int32Array;
}

export interface DivideOptions {
  /** Of the table that is learned from; those of a test table come after them. */
  readonly own: number;
  /** With a test table. */
  readonly all: number;
  readonly testFraction?: number | undefined;
  readonly splitSeed?: number | undefined;
}

/** @throws KasminaError `invalid_data` for too few rows or groups, naming the data by `name` */
export function divideTable(by: DividedBy, name: string, options: DivideOptions): TableParts {
  const { own: ownRows, all: allRows, testFraction = TEST_FRACTION, splitSeed = 0 } = options;
  const split = splitter(by, name, splitSeed);
  const all = new Int32Array(allRows).map((_, row) => row);
  const own = all.subarray(0, ownRows);
  const { kept, taken: test } =
    allRows > ownRows ? { kept: own, taken: all.subarray(ownRows) } : split(own, testFraction, "test");
  const { kept: train, taken: heldOut } = split(kept, heldOutFraction(kept.length), "held out");
  if (train.length === 0) throw new KasminaError("invalid_data", `${name}, train: no rows`);
  if (test.length === 0) throw new KasminaError("invalid_data", `${name}, test: no rows`);
  if (heldOut.length === 0)
    throw new KasminaError("invalid_data", `${name}: ${kept.length} rows are too few to hold some out`);
  return { train, heldOut, test };
}

type Splitter = (rows: Int32Array, fraction: number, what: string) => Split;

/** Takes a part of rows. */
function splitter(by: DividedBy, name: string, seed: number): Splitter {
  const of = (rows: Int32Array, { kept, taken }: Split): Split => ({
    kept: pick(rows, kept),
    taken: pick(rows, taken),
  });
  if ("groups" in by) {
    const { names, codes } = by.groups;
    return (rows, fraction, what) => {
      const groups = { names, codes: pick(codes, rows) };
      if (new Set(groups.codes).size < 2)
        throw new KasminaError(
          "invalid_data",
          `${name}: too few groups in column "${by.group}" to have some ${what}`,
        );
      return of(rows, groupSplit(groups, fraction, seed));
    };
  }
  if ("moments" in by)
    return (rows, fraction) => of(rows, latestSplit(pickMoments(by.moments, rows), fraction));
  return (rows, fraction) => of(rows, stratifiedSplit(pick(by.strata, rows), fraction, seed));
}

function pickMoments(moments: Float64Array, rows: Int32Array): Float64Array {
  return Float64Array.from(rows, (row) => moments[row] ?? 0);
}

export function pick(from: Int32Array, indices: Int32Array): Int32Array {
  return indices.map((index) => from[index] ?? 0);
}
