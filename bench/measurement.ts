/** What `npm run bench` runs: one measurement a file. */
export interface Measurement {
  readonly name: string;
  /** One line for `--help`. */
  readonly summary: string;
  /** Measures and returns one flat object of figures, or of objects of figures. */
  run(args: readonly string[]): Promise<Figures>;
}

export type Figures = { readonly [name: string]: Figure };
export type Figure = number | string | boolean | null | Figures;

/** The middle value; the mean of the two middle ones of an even number. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Seconds that `work` takes. */
export function seconds(work: () => void): number {
  const startMs = performance.now();
  work();
  return (performance.now() - startMs) / 1_000;
}
