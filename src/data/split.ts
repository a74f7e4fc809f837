/** Which rows serve what: seeded splits that keep the proportion of the classes, or groups together, or the order of time. */
import { Random } from "../base/random.js";

export interface Split {
  /** Row numbers, ascending. */
  readonly kept: Int32Array;
  /** Row numbers, ascending: about `fraction` of each class. */
  readonly taken: Int32Array;
}

/**
 * Divides rows in two, class by class. The same labels, fraction and seed always give the same split. Of a class
 * with two rows or more, both parts get one at least; a single row is kept.
 *
 * @param fraction of the rows to take, over 0 .. 1
 */
export function stratifiedSplit(labels: Int32Array, fraction: number, seed: number): Split {
  const classes = rowsByClass(labels);
  const isTaken = new Uint8Array(labels.length);
  const shares = sharesOf(
    classes.map(([, rows]) => rows.length),
    fraction,
  );
  classes.forEach(([label, rows], i) => {
    const shuffled = Random.forLabel(seed, `split/${label}`).shuffle(rows);
    for (const row of shuffled.subarray(0, shares[i])) isTaken[row] = 1;
  });
  return divided(isTaken);
}

/** Row numbers of each class, in the order of the classes: 4 bytes a row, of millions too. */
function rowsByClass(labels: Int32Array): [label: number, rows: Int32Array][] {
  const counts = new Map<number, number>();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  const classes = [...counts]
    .sort(([a], [b]) => a - b)
    .map(([label, count]) => ({ label, rows: new Int32Array(count), filled: 0 }));
  const byLabel = new Map(classes.map((one) => [one.label, one]));
  labels.forEach((label, row) => {
    const own = byLabel.get(label);
    if (own) own.rows[own.filled++] = row;
  });
  return classes.map(({ label, rows }) => [label, rows]);
}

/** How many to take of each class: its share rounded by the largest remainder, so that the sum is right. */
function sharesOf(counts: readonly number[], fraction: number): number[] {
  const total = Math.round(counts.reduce((sum, count) => sum + count, 0) * fraction);
  const shares = counts.map((count) => Math.floor(count * fraction));
  const missing = total - shares.reduce((sum, share) => sum + share, 0);
  const byRemainder = counts
    .map((count, i) => ({ i, remainder: count * fraction - Math.floor(count * fraction) }))
    .sort((a, b) => b.remainder - a.remainder || a.i - b.i);
  for (const { i } of byRemainder.slice(0, missing)) shares[i] = (shares[i] ?? 0) + 1;
  return shares.map((share, i) => Math.min((counts[i] ?? 0) - 1, Math.max(1, share)));
}

/** The group of each row. */
export interface Groups {
  /** Of each row, the place of its group's name. */
  readonly codes: Int32Array;
  readonly names: readonly string[];
}

/**
 * Divides rows in two so that no group is in both: whole groups are taken, in a seeded order, until about `fraction` of the rows are.
 * Each part gets one group at least where there are two.
 */
export function groupSplit({ codes, names }: Groups, fraction: number, seed: number): Split {
  const counts = new Map<number, number>();
  for (const code of codes) counts.set(code, (counts.get(code) ?? 0) + 1);
  const present = [...counts.keys()].map((code) => ({ code, name: names[code] ?? "" }));
  // By name, and not by where in the table a group first stands.
  const sorted = present.sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
  const shuffled = Random.forLabel(seed, "split/groups").shuffle(sorted);
  const wanted = codes.length * fraction;
  const taken = new Set<number>();
  let rows = 0;
  for (const { code } of shuffled.slice(0, -1)) {
    if (rows >= wanted) break;
    taken.add(code);
    rows += counts.get(code) ?? 0;
  }
  return divided(Uint8Array.from(codes, (code) => Number(taken.has(code))));
}

/** Takes the latest rows, about `fraction` of all, one at least; of rows of one moment the later ones in the table. */
export function latestSplit(moments: Float64Array, fraction: number): Split {
  const order = Int32Array.from(moments.keys()).sort(
    (a, b) => (moments[a] ?? 0) - (moments[b] ?? 0) || a - b,
  );
  const count = Math.min(moments.length - 1, Math.max(1, Math.round(moments.length * fraction)));
  const isTaken = new Uint8Array(moments.length);
  for (const row of order.subarray(moments.length - count)) isTaken[row] = 1;
  return divided(isTaken);
}

/** @param isTaken 1 for each row that is */
function divided(isTaken: Uint8Array): Split {
  const taken = new Int32Array(isTaken.reduce((count, one) => count + one, 0));
  const kept = new Int32Array(isTaken.length - taken.length);
  const filled = [0, 0];
  isTaken.forEach((one, row) => {
    const rows = one === 1 ? taken : kept;
    const at = filled[one] ?? 0;
    rows[at] = row;
    filled[one] = at + 1;
  });
  return { kept, taken };
}
