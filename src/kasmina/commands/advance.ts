/** The operations that move a seed one gate further. A gate that fails culls the seed; a wrong stage changes nothing. */

import { type BlendConfig, blendFromProto, DEFAULT_BLEND } from "../../contracts/blend.js";
import type { AdvancingOperation } from "../../contracts/names.js";
import { ADVANCES, type Advance } from "../../contracts/stages.js";
import { planCull } from "../changes/culling.js";
import { askGate, reportGate } from "../gates/gate-runner.js";
import type { GateResult } from "../gates/index.js";
import { blendProblem } from "../state/blending.js";
import type { MutableSeed } from "../state/seed.js";
import { type CommandContext, expectedStageOf, leadStep, stageMismatch, targetSeed } from "./context.js";
import { applied, type HandlerResult, type RefusalReason, refused } from "./outcome.js";

export function advance(context: CommandContext, operation: AdvancingOperation): HandlerResult {
  const step = ADVANCES[operation];
  const target = targetSeed(context);
  if ("refusal" in target) return refuseAt(step, context, target.refusal);
  const { seed } = target;
  if (seed.stage !== step.from) return refuseAt(step, context, stageMismatch(seed, step.from));
  const blocked = advanceProblem(context, seed);
  if (blocked) return refused(blocked, seed.id);
  return passGate(context, seed, step);
}

/** A gate that was asked of a seed in another stage says so; the seed stays as it is. */
function refuseAt(
  { gate, from }: Advance,
  { state, command }: CommandContext,
  refusal: HandlerResult,
): HandlerResult {
  const seed = state.registry.find(command.targetSeedId);
  if (seed && refusal.status === "refused" && refusal.reason === "stage_mismatch") {
    const expectedStage = expectedStageOf(command) ?? from;
    reportGate(
      { gate, passed: false, reason: "stage_mismatch", attributes: {} },
      { state, seed, expectedStage },
    );
  }
  return refusal;
}

function advanceProblem({ state }: CommandContext, seed: MutableSeed): RefusalReason | undefined {
  if (state.emergency === "HALT") return "run_halted";
  if (state.emergency === "FREEZE_SEEDS") return "seeds_frozen";
  if (seed.pausedFrom !== undefined) return "seed_paused";
  return state.plan.ofSeed(seed.id) ? "change_pending" : undefined;
}

function passGate(context: CommandContext, seed: MutableSeed, { gate, to }: Advance): HandlerResult {
  const blend = to === "BLENDING" ? requestedBlend(context, seed) : undefined;
  if (blend && "problem" in blend) return refused("blend_invalid", seed.id, blend.problem);
  const expectedStage = expectedStageOf(context.command);
  const result = askGate(gate, {
    state: context.state,
    seed,
    step: context.now.step,
    ...(expectedStage !== undefined && { expectedStage }),
  });
  if (!result.passed) return cullFailed(context, seed, result);
  const effectiveStep = leadStep(context);
  context.state.plan.add(effectiveStep, { kind: "stage", to, ...(blend && { blend: blend.blend }) }, seed.id);
  return applied(effectiveStep, seed.id);
}

/** The seed is culled because a gate it asked for said no. */
export function cullFailed(
  { state, now }: CommandContext,
  seed: MutableSeed,
  result: Extract<GateResult, { passed: false }>,
): HandlerResult {
  const effectiveStep = planCull(state, seed, { cause: result.reason, step: now.step });
  return refused(
    result.reason,
    seed.id,
    `${result.gate} failed; the seed is culled from step ${effectiveStep} on`,
  );
}

/** The blend that the command's decision asks for, or the default; or what is wrong with it. */
export function requestedBlend(
  { state, command }: CommandContext,
  seed: MutableSeed,
): { readonly blend: BlendConfig } | { readonly problem: string } {
  const proto = command.decision?.blend;
  const parsed = proto ? blendFromProto(proto) : { blend: DEFAULT_BLEND };
  if ("field" in parsed) return reportBlend(state, seed, parsed.field, `${parsed.field} is unknown`);
  const channels = state.registry.slot(seed.slotId)?.shape.at(-1) ?? 1;
  const problem = blendProblem(parsed.blend, channels, state.config.blend);
  return problem ? reportBlend(state, seed, problem.field, problem.problem) : { blend: parsed.blend };
}

function reportBlend(state: CommandContext["state"], seed: MutableSeed, field: string, problem: string) {
  state.telemetry.event(seed.id, "blend_config", "WARNING", { reason: "blend_invalid", field, problem });
  return { problem };
}
