/** Seeded splits that keep the proportion of the classes. */
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
  const all = Array.from(labels, (_, row) => row);
  return {
    kept: Int32Array.from(all.filter((row) => isTaken[row] === 0)),
    taken: Int32Array.from(all.filter((row) => isTaken[row] === 1)),
  };
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
