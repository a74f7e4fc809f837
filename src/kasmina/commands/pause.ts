/** PAUSE commands: a seed leaves the step with its weights and optimizer state kept, or comes back. */
import type { PauseCommand } from "../../contracts/gen/kasmina/v1/command_pb.js";
import { canCull, gateOf } from "../../contracts/stages.js";
import { askGate } from "../gates/gate-runner.js";
import type { MutableSeed } from "../state/seed.js";
import { cullFailed } from "./advance.js";
import { type CommandContext, leadStep, stageMismatch, targetSeed } from "./context.js";
import { applied, type HandlerResult, refused } from "./outcome.js";

export function handlePause(context: CommandContext, order: PauseCommand): HandlerResult {
  const target = targetSeed(context);
  if ("refusal" in target) return target.refusal;
  if (context.state.plan.ofSeed(target.seed.id)) return refused("change_pending", target.seed.id);
  return order.resume ? resume(context, target.seed) : pause(context, target.seed);
}

function pause(context: CommandContext, seed: MutableSeed): HandlerResult {
  if (seed.pausedFrom !== undefined) return refused("seed_paused", seed.id);
  if (!canCull(seed.stage)) return stageMismatch(seed, "a stage that can be paused");
  if (seed.kernel === undefined) return refused("kernel_not_attached", seed.id);
  const effectiveStep = leadStep(context);
  context.state.plan.add(effectiveStep, { kind: "pause" }, seed.id);
  return applied(effectiveStep, seed.id);
}

/** The gate that the seed once passed to be in its stage must pass again. */
function resume(context: CommandContext, seed: MutableSeed): HandlerResult {
  if (seed.pausedFrom === undefined) return refused("not_paused", seed.id);
  const gate = gateOf(seed.stage);
  if (!gate) return stageMismatch(seed, "a stage that can be resumed");
  const result = askGate(gate, { state: context.state, seed, step: context.now.step, again: true });
  if (!result.passed) return cullFailed(context, seed, result);
  const effectiveStep = leadStep(context);
  context.state.plan.add(effectiveStep, { kind: "resume" }, seed.id);
  return applied(effectiveStep, seed.id);
}
