/** When a run is observed: at the end of each epoch, and every so many steps. */

/** Observations a run, if its steps allow: each evaluates held-out rows and asks the policy. */
const OBSERVATIONS_PER_RUN = 60;
/** Fewer steps between two observations would measure noise. */
const MIN_STEPS_PER_OBSERVATION = 20;

export interface Observations {
  readonly stepsPerEpoch: number;
  readonly observeEverySteps: number;
}

/** Steps between two observations, those at the ends of epochs aside. */
export function observeEverySteps(stepsPerEpoch: number, epochs: number): number {
  const spread = Math.ceil((stepsPerEpoch * epochs) / OBSERVATIONS_PER_RUN);
  return Math.min(stepsPerEpoch, Math.max(MIN_STEPS_PER_OBSERVATION, spread));
}

/** Observations up to and with the one after `step` steps. */
export function observationsUntil(
  step: number,
  { stepsPerEpoch, observeEverySteps: every }: Observations,
): number {
  const both = leastCommonMultiple(every, stepsPerEpoch);
  return Math.floor(step / every) + Math.floor(step / stepsPerEpoch) - Math.floor(step / both);
}

function leastCommonMultiple(a: number, b: number): number {
  let [divisor, rest] = [a, b];
  while (rest > 0) [divisor, rest] = [rest, divisor % rest];
  return (a * b) / divisor;
}
