/** What was measured, in the words of the execution layer and of the policy. */

import { STATE_SCORES, type SystemState, type Tensor } from "../contracts/index.js";
import type {
  BlendWeights,
  EvaluationMeasurement,
  Kasmina,
  SeedEvaluation,
  SeedStepMeasurement,
  StepMeasurement,
} from "../kasmina/index.js";
import { type EvaluationResult, isBlended, isShadow, type Topology } from "../network/index.js";
import type { GrowingNetwork } from "./growing-network.js";
import type { Progress } from "./progress.js";
import { gradientNormOutput, shadowLossOutput } from "./train-step.js";

/** One step's outputs, seed by seed. */
export function stepMeasurement(
  topology: Topology,
  outputs: Readonly<Record<string, Tensor>>,
  weights: ReadonlyMap<string, BlendWeights>,
): StepMeasurement {
  const seeds = topology.sites
    .filter(({ part }) => part !== "grown")
    .map((site): [string, SeedStepMeasurement] => {
      const { seedId } = site;
      const norm = outputs[gradientNormOutput(seedId)];
      const blend = isBlended(site) ? weights.get(seedId) : undefined;
      const measured = {
        loss: numberOf(outputs[shadowLossOutput(seedId)] ?? outputs.loss),
        ...(norm && { gradientNorm: numberOf(norm) }),
        ...(blend && { blend }),
      };
      return [seedId, measured];
    });
  return { loss: numberOf(outputs.loss), seeds: Object.fromEntries(seeds) };
}

/** One evaluation, seed by seed. */
export function evaluationMeasurement(
  topology: Topology | undefined,
  heldOut: EvaluationResult,
): EvaluationMeasurement {
  const seeds = (topology?.sites ?? []).flatMap((site): [string, SeedEvaluation][] => {
    const gain = heldOut.gains.get(site.seedId);
    if (!gain) return [];
    return [[site.seedId, isShadow(site) ? { shadowGain: gain } : { contribution: gain }]];
  });
  return { loss: heldOut.loss, seeds: Object.fromEntries(seeds) };
}

export interface Observed {
  readonly trainingRunId: string;
  readonly epochs: number;
  readonly kasmina: Kasmina;
  readonly network: GrowingNetwork;
  readonly progress: Progress;
  readonly heldOut: EvaluationResult;
}

/** The run as the policy sees it. */
export function systemState(observed: Observed): SystemState {
  const { trainingRunId, epochs, kasmina, network, progress, heldOut } = observed;
  return {
    trainingRunId,
    incarnation: kasmina.incarnation,
    ...progress.now,
    epochs,
    trainLoss: progress.recentLoss,
    heldOutLoss: heldOut.loss,
    [STATE_SCORES[heldOut.score.name]]: heldOut.score.value,
    ...kasmina.describe(progress.step),
    paramsHost: network.paramsHost,
    paramsTotal: network.paramsTotal,
    flopsPerStep: network.installed?.train.traced.flops ?? 0,
    flopsTotal: progress.flops,
  };
}

function numberOf(tensor: Tensor | undefined): number {
  return tensor?.data[0] ?? Number.NaN;
}
