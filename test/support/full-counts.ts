/**
 * What the long suites repeat, they repeat some times where nobody asks for more, the same ones each time;
 * `KASMINA_FULL_COUNTS=1` asks for all of it.
 */
const isFull = process.env.KASMINA_FULL_COUNTS === "1";

/** How often: `some` times, or all. */
export function times(some: number, all: number): number {
  return isFull ? all : some;
}

/** Every so manieth of a table, beginning with the first: with a step that shares no factor with its width each column is met. */
export function someOf<T>(all: readonly T[], everyNth: number): readonly T[] {
  return isFull ? all : all.filter((_, at) => at % everyNth === 0);
}
