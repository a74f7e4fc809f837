/** Learning-rate schedules: a factor for each step, from 0 to 1. */

export type ScheduleId = "constant" | "cosine" | "linear";

export const SCHEDULE_IDS = ["constant", "cosine", "linear"] as const satisfies readonly ScheduleId[];

/** Steps over which the rate rises from near 0 at the start of a run, unless set otherwise. */
const DEFAULT_WARMUP_STEPS = 0;

const DECAYS: { readonly [K in ScheduleId]: (progress: number) => number } = {
  constant: () => 1,
  cosine: (progress) => (1 + Math.cos(Math.PI * progress)) / 2,
  linear: (progress) => 1 - progress,
};

/**
 * The factor of `step` (from 0) in a run of `totalSteps`. Cosine: Loshchilov & Hutter 2016, arXiv:1608.03983, without
 * restarts.
 */
export function scheduleFactor(
  id: ScheduleId,
  step: number,
  totalSteps: number,
  warmupSteps = DEFAULT_WARMUP_STEPS,
): number {
  if (step < warmupSteps) return (step + 1) / (warmupSteps + 1);
  const progress = (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
  return DECAYS[id](Math.min(1, progress));
}
