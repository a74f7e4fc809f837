/** What came of a sweep: each variant over its seeds, and against the first variant in pairs of equal seeds. */
import { meanInterval } from "../../base/index.js";
import type { Variant } from "./sweep-file.js";
import type { SweepFolder, SweepRunStatus } from "./sweep-folder.node.js";

/** A mean over seeds, with half of its 95 % interval (Student's t); null where there is no such value, or one seed alone. */
export interface Interval {
  readonly mean: number;
  readonly half_95: number | null;
  readonly n: number;
}

/** As `kasmina sweep results --json` prints it, one object a variant. */
export interface VariantResult {
  readonly variant: number;
  readonly options: Variant;
  readonly finished: number;
  readonly runs: number;
  /** On the test set; null where the task has none. */
  readonly accuracy: Interval | null;
  readonly loss: Interval | null;
  readonly params_total: Interval | null;
  /** This variant less the first one, seed by seed; null for the first. */
  readonly accuracy_difference: Interval | null;
  readonly loss_difference: Interval | null;
}

type Measure = "accuracy" | "loss" | "params_total";

export function sweepResults(
  { sweep }: Pick<SweepFolder, "sweep">,
  statuses: readonly SweepRunStatus[],
): readonly VariantResult[] {
  const measured = (variant: number, seed: number, measure: Measure): number | undefined => {
    const found = statuses.find(({ run }) => run.variant === variant && run.seed === seed);
    const value = found?.summary?.[measure];
    return typeof value === "number" && Number.isFinite(value) ? value : undefined;
  };
  const seeds = [...new Set(sweep.runs.map(({ seed }) => seed))];
  const present = (values: readonly (number | undefined)[]): number[] =>
    values.filter((value) => value !== undefined);
  const over = (variant: number, measure: Measure): Interval | null =>
    interval(present(seeds.map((seed) => measured(variant, seed, measure))));
  const difference = (variant: number, measure: Measure): Interval | null => {
    if (variant === 0) return null;
    const pairs = seeds.map((seed) => {
      const [mine, first] = [measured(variant, seed, measure), measured(0, seed, measure)];
      return mine === undefined || first === undefined ? undefined : mine - first;
    });
    return interval(present(pairs));
  };
  return sweep.variants.map((options, variant) => {
    const own = statuses.filter(({ run }) => run.variant === variant);
    return {
      variant,
      options,
      finished: own.filter(({ state }) => state === "finished").length,
      runs: own.length,
      accuracy: over(variant, "accuracy"),
      loss: over(variant, "loss"),
      params_total: over(variant, "params_total"),
      accuracy_difference: difference(variant, "accuracy"),
      loss_difference: difference(variant, "loss"),
    };
  });
}

function interval(values: readonly number[]): Interval | null {
  if (values.length === 0) return null;
  const { mean, half } = meanInterval(values);
  return { mean, half_95: values.length > 1 ? half : null, n: values.length };
}
