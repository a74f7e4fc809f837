/** Gathers what each gate reads out of a run's state, asks it, and makes its answer known. */

import type { Stage } from "../../contracts/names.js";
import type { LivingGate } from "../../contracts/stages.js";
import type { RunState } from "../state/run-state.js";
import { alphaSteps, type Seed } from "../state/seed.js";
import type { Performance } from "./g2-stability.js";
import {
  type GateResult,
  g0Sanity,
  g1GradientHealth,
  g2Stability,
  g3Interface,
  g4SystemImpact,
} from "./index.js";

export interface GateQuestion {
  readonly state: RunState;
  readonly seed: Seed;
  readonly step: number;
  readonly expectedStage?: Stage;
  /** Whether the gate was passed before and is asked again (a resume): evaluations of an earlier stage will do. */
  readonly again?: boolean;
}

const RUNNERS: { readonly [G in LivingGate]: (question: GateQuestion) => GateResult } = {
  G0_SANITY: ({ state, seed, ...rest }) =>
    g0Sanity({
      ...common(seed, rest.expectedStage),
      blueprintId: seed.blueprintId,
      blueprint: state.blueprints.find(seed.blueprintId),
      parameters: seed.parameters,
      slotId: seed.slotId,
      slotShape: state.registry.slot(seed.slotId)?.shape,
    }),
  G1_GRADIENT_HEALTH: ({ state, seed, expectedStage }) =>
    g1GradientHealth({
      ...common(seed, expectedStage),
      kernelAttached: seed.kernel !== undefined,
      isolationViolations: seed.stats.isolationViolations,
      gradientNorms: seed.stats.gradientNorms,
      silentGradientNorm: state.config.gates.silentGradientNorm,
    }),
  G2_STABILITY: ({ state, seed, expectedStage, again }) =>
    g2Stability({
      ...common(seed, expectedStage),
      performance: performanceOf(state, seed),
      losses: seed.stats.losses,
      divergenceRatio: state.config.gates.divergenceRatio,
      shadowGain: evaluated(seed, again)?.shadowGain,
      minShadowGain: state.config.gates.minShadowGain,
      confidence: state.config.gates.confidence,
    }),
  G3_INTERFACE: ({ state, seed, step, expectedStage }) =>
    g3Interface({
      ...common(seed, expectedStage),
      seedId: seed.id,
      slotId: seed.slotId,
      topology: state.topology,
      alphaStepsDone: alphaSteps(seed, step),
      alphaSteps: seed.blend.schedule.steps,
    }),
  G4_SYSTEM_IMPACT: ({ state, seed, expectedStage, again }) =>
    g4SystemImpact({
      ...common(seed, expectedStage),
      performance: performanceOf(state, seed),
      isolationViolations: seed.stats.isolationViolations,
      contribution: evaluated(seed, again)?.contribution,
      minContribution: state.config.gates.minContribution,
      confidence: state.config.gates.confidence,
    }),
};

function performanceOf({ config }: RunState, { kernel, stats }: Seed): Performance {
  return {
    latencyP95Ms: kernel?.prewarmP95Ms ?? Number.NaN,
    latencyBudgetMs: config.kernel.latencyBudgetMs,
    stepShare: stats.stepShare,
    stepShareBudget: config.kernel.stepShareBudget,
  };
}

/** The seed's estimates, where they are of the stage it is in. */
function evaluated(seed: Seed, again = false): Seed["stats"] | undefined {
  return again || seed.stats.evaluatedIn === seed.stage ? seed.stats : undefined;
}

function common(seed: Seed, expectedStage: Stage | undefined) {
  return {
    stage: seed.stage,
    ...(expectedStage !== undefined && { expectedStage }),
    fallbackUsed: seed.kernel?.fallbackUsed ?? false,
  };
}

/** Asks a gate about a seed and reports the answer. */
export function askGate(gate: LivingGate, question: GateQuestion): GateResult {
  const result = RUNNERS[gate](question);
  reportGate(result, question);
  return result;
}

/** `gate_event` where it passed; `gate_failure`, CRITICAL and at once, where it did not. */
export function reportGate(
  result: GateResult,
  { state, seed, expectedStage }: Pick<GateQuestion, "state" | "seed" | "expectedStage">,
): void {
  const attributes = {
    gate: result.gate,
    seed_id: seed.id,
    blueprint_id: seed.blueprintId,
    slot_id: seed.slotId,
    stage: seed.stage,
    expected_stage: expectedStage ?? "",
    ...result.attributes,
  };
  if (result.passed) {
    state.telemetry.event(seed.id, "gate_event", "INFO", { ...attributes, passed: true });
    return;
  }
  const { reason } = result;
  state.telemetry.count("kasmina.gate.failures_total", { gate: result.gate, reason });
  const stays = reason === "stage_mismatch" ? { culled: false } : {};
  state.telemetry.event(seed.id, "gate_failure", "CRITICAL", { ...attributes, reason, ...stays });
}
