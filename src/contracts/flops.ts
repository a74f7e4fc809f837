/** What the floating point operations of a run went into. */

/** In the order in which they are told. */
export const FLOPS_PARTS = ["training", "shadow", "evaluation", "counterfactual", "isolation"] as const;
export type FlopsPart = (typeof FLOPS_PARTS)[number];

/**
 * - `training`: steps of the network itself, with the update of what learns.
 * - `shadow`: what seeds in TRAINING add to them, which learn beside the network.
 * - `evaluation`: held-out and test rows, once.
 * - `counterfactual`: the same rows again, without a seed that is blended in or with one that is not yet.
 * - `isolation`: the monitor's looks.
 */
export type FlopsByPart = Readonly<Record<FlopsPart, number>>;

export const NO_FLOPS: FlopsByPart = {
  training: 0,
  shadow: 0,
  evaluation: 0,
  counterfactual: 0,
  isolation: 0,
};

export function totalFlops(parts: FlopsByPart): number {
  return FLOPS_PARTS.reduce((sum, part) => sum + parts[part], 0);
}
