/**
 * What gates have in common (docs/architecture.md, "Stages and gates"). A gate is a pure function of explicit inputs:
 * it reads nothing else, changes nothing, and says why.
 */
import type { Gate, Stage } from "../../contracts/names.js";
import type { Attributes } from "../../contracts/telemetry.js";

/** Every reason with which a gate can fail. */
export const GATE_REASONS = [
  "stage_mismatch",
  "fallback_kernel_used",
  "missing_blueprint",
  "unknown_blueprint",
  "parameter_invalid",
  "artifact_mismatch",
  "slot_closed",
  "slot_shape",
  "kernel_not_attached",
  "isolation_violations",
  "gradient_not_finite",
  "gradient_silent",
  "latency_budget_exceeded",
  "performance_status",
  "loss_diverging",
  "no_shadow_gain",
  "host_not_registered",
  "slot_not_covered",
  "output_shape",
  "alpha_incomplete",
  "contribution_below_threshold",
  "residue",
] as const;
export type GateReason = (typeof GATE_REASONS)[number];

export type GateResult =
  | { readonly gate: Gate; readonly passed: true; readonly reason: ""; readonly attributes: Attributes }
  | {
      readonly gate: Gate;
      readonly passed: false;
      readonly reason: GateReason;
      readonly attributes: Attributes;
    };

/** What every gate checks first. */
export interface CommonInputs {
  readonly stage: Stage;
  /** The stage that the command expects; left out where it does not say. */
  readonly expectedStage?: Stage;
  readonly fallbackUsed: boolean;
}

/** A reason to fail, with what there is to know about it; undefined lets the next check look. */
export type Check = { readonly reason: GateReason; readonly attributes: Attributes } | undefined;

export function failing(reason: GateReason, attributes: Attributes = {}): NonNullable<Check> {
  return { reason, attributes };
}

/** The first check that fails makes the result. */
export function judge(gate: Gate, ...checks: readonly (() => Check)[]): GateResult {
  for (const check of checks) {
    const failure = check();
    if (failure) return { gate, passed: false, ...failure };
  }
  return { gate, passed: true, reason: "", attributes: {} };
}

/** The command's expected stage is the actual one, and no fallback is in use. */
export function commonCheck(inputs: CommonInputs): Check {
  const { stage, expectedStage, fallbackUsed } = inputs;
  if (expectedStage !== undefined && expectedStage !== stage) return failing("stage_mismatch");
  return fallbackUsed ? failing("fallback_kernel_used") : undefined;
}
