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
  const byClass = new Map<number, number[]>();
  labels.forEach((label, row) => {
    const rows = byClass.get(label);
    if (rows) rows.push(row);
    else byClass.set(label, [row]);
  });
  const isTaken = new Uint8Array(labels.length);
  const classes = [...byClass].sort(([a], [b]) => a - b);
  const shares = sharesOf(
    classes.map(([, rows]) => rows.length),
    fraction,
  );
  classes.forEach(([label, rows], i) => {
    const shuffled = Random.forLabel(seed, `split/${label}`).shuffle(rows);
    for (const row of shuffled.slice(0, shares[i])) isTaken[row] = 1;
  });
  return divided(labels.length, (row) => isTaken[row] === 1);
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

/**
 * Divides rows in two so that no group is in both: whole groups are taken, in a seeded order, until about `fraction` of the rows are.
 * Each part gets one group at least where there are two.
 */
export function groupSplit(groups: readonly string[], fraction: number, seed: number): Split {
  const counts = new Map<string, number>();
  for (const group of groups) counts.set(group, (counts.get(group) ?? 0) + 1);
  const shuffled = Random.forLabel(seed, "split/groups").shuffle([...counts.keys()].sort());
  const wanted = groups.length * fraction;
  const taken = new Set<string>();
  let rows = 0;
  for (const group of shuffled.slice(0, -1)) {
    if (rows >= wanted) break;
    taken.add(group);
    rows += counts.get(group) ?? 0;
  }
  return divided(groups.length, (row) => taken.has(groups[row] ?? ""));
}

/** Takes the latest rows, about `fraction` of all, one at least; of rows of one moment the later ones in the table. */
export function latestSplit(moments: Float64Array, fraction: number): Split {
  const order = [...moments.keys()].sort((a, b) => (moments[a] ?? 0) - (moments[b] ?? 0) || a - b);
  const count = Math.min(moments.length - 1, Math.max(1, Math.round(moments.length * fraction)));
  const latest = new Set(order.slice(moments.length - count));
  return divided(moments.length, (row) => latest.has(row));
}

function divided(count: number, isTaken: (row: number) => boolean): Split {
  const all = Array.from({ length: count }, (_, row) => row);
  return {
    kept: Int32Array.from(all.filter((row) => !isTaken(row))),
    taken: Int32Array.from(all.filter(isTaken)),
  };
}
