/** Taking a seed out: what a gate failure, a breaker and a CULL command have in common. */
import { stepsOf } from "../config.js";
import type { RunState } from "../state/run-state.js";
import type { Seed } from "../state/seed.js";

export interface Culling {
  readonly cause: string;
  readonly step: number;
  /** Steps for which slot and blueprint stay closed; default the configured embargo. */
  readonly embargoSteps?: number;
  /** Whether it goes at the boundary of `step`, without the lead; training waits for the program then. Default false. */
  readonly atOnce?: boolean;
}

/**
 * Plans a seed's removal and closes its slot and blueprint at once. A pending change of the seed is dropped for it. A
 * seed that is in no program yet goes at this boundary; one that is goes with the lead of every change of topology.
 * @returns the step at which the seed is gone
 */
export function planCull(state: RunState, seed: Seed, culling: Culling): number {
  const {
    cause,
    step,
    atOnce = false,
    embargoSteps = stepsOf(state.config, state.config.embargoMs),
  } = culling;
  state.plan.cancel(seed.id);
  state.kernels.cancel(seed.id);
  const leads = seed.kernel !== undefined && !atOnce;
  const effectiveStep = leads ? step + state.config.leadSteps : step;
  state.plan.add(effectiveStep, { kind: "remove", cause }, seed.id);
  state.closures.close(seed, effectiveStep + embargoSteps);
  return effectiveStep;
}
