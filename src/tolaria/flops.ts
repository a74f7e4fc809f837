/**
 * What programs cost, by what it went into. Of a program that does several things at once each costs what the program would be cheaper
 * without it, so the forward pass that all share is counted once, for the first of them.
 */
import { type FlopsByPart, groupOf } from "../contracts/index.js";
import { flopsFor, type TracedProgram } from "../engine/index.js";
import { isComparison, isShadow, type Topology } from "../network/index.js";
import { gradientNormOutput, shadowLossOutput } from "./train-step.js";

/** Of one training step. */
export function stepFlops({ sites }: Topology, step: TracedProgram): Partial<FlopsByPart> {
  const shadows = new Set(sites.filter(isShadow).map(({ seedId }) => seedId));
  const told = new Set([...shadows].flatMap((id) => [shadowLossOutput(id), gradientNormOutput(id)]));
  const training = flopsFor(step, ({ role, name }) =>
    role === "output" ? !told.has(name) : !shadows.has(groupOf(name)),
  );
  return { training, shadow: step.flops - training };
}

/** Of the evaluation of one batch. */
export function evaluationFlops(evaluation: TracedProgram): Partial<FlopsByPart> {
  const once = flopsFor(evaluation, ({ name }) => !isComparison(name));
  return { evaluation: once, counterfactual: evaluation.flops - once };
}
