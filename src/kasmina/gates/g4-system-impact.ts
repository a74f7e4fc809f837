/** G4, to PROBATIONARY and again to FOSSILIZED: is the whole network better with the seed than without it? */
import type { Estimate } from "../../contracts/ports.js";
import { isolationCheck } from "./g1-gradient-health.js";
import { isAbove, type Performance, performanceCheck } from "./g2-stability.js";
import { type Check, type CommonInputs, commonCheck, failing, type GateResult, judge } from "./gate.js";

export interface G4Inputs extends CommonInputs {
  readonly performance: Performance;
  readonly isolationViolations: number;
  /** The counterfactual on held-out batches; undefined where nothing was measured, which fails. */
  readonly contribution: Estimate | undefined;
  readonly minContribution: number;
  /** How many standard errors the contribution must be clear of the threshold. */
  readonly confidence: number;
}

export function g4SystemImpact(inputs: G4Inputs): GateResult {
  return judge(
    "G4_SYSTEM_IMPACT",
    () => commonCheck(inputs),
    () => performanceCheck(inputs.performance),
    () => isolationCheck(inputs.isolationViolations),
    () => contributionCheck(inputs),
  );
}

function contributionCheck({ contribution, minContribution, confidence }: G4Inputs): Check {
  if (!contribution) return failing("contribution_below_threshold", { measured: false });
  if (isAbove(contribution, minContribution, confidence)) return undefined;
  return failing("contribution_below_threshold", {
    contribution: contribution.value,
    std_err: contribution.stdErr,
    threshold: minContribution,
  });
}
