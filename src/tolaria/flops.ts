/**
 * What programs cost, by what it went into. Of a program that does several things at once each costs what the program would be cheaper
 * without it, so the forward pass that all share is counted once, for the first of them.
 */
import { type FlopsByPart, groupOf } from "../contracts/index.js";
import { flopsFor, type TracedProgram } from "../engine/index.js";
import { isComparison, isShadow, type Topology } from "../network/index.js";
import type { OfTopology } from "./tracing/tracer.js";
import { gradientNormOutput, shadowLossOutput } from "./train-step.js";

/** Of one training step, its frozen prefix included, whether that is kept or not. */
export function stepFlops(
  { sites }: Topology,
  { train, prefix }: Pick<OfTopology<TracedProgram>, "train" | "prefix">,
): Partial<FlopsByPart> {
  const shadows = new Set(sites.filter(isShadow).map(({ seedId }) => seedId));
  const told = new Set([...shadows].flatMap((id) => [shadowLossOutput(id), gradientNormOutput(id)]));
  const training = flopsFor(train, ({ role, name }) =>
    role === "output" ? !told.has(name) : !shadows.has(groupOf(name)),
  );
  return { training: training + (prefix?.train.flops ?? 0), shadow: train.flops - training };
}

/** Of the evaluation of one batch, its frozen prefix included, whether that is kept or not. */
export function evaluationFlops({
  evaluate,
  prefix,
}: Pick<OfTopology<TracedProgram>, "evaluate" | "prefix">): Partial<FlopsByPart> {
  const once = flopsFor(evaluate, ({ name }) => !isComparison(name));
  return { evaluation: once + (prefix?.evaluate.flops ?? 0), counterfactual: evaluate.flops - once };
}
