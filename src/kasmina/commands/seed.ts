/** SEED commands, one table row an operation, and PAUSE. */
import type { PauseCommand, SeedCommand } from "../../contracts/gen/kasmina/v1/command_pb.js";
import { type Operation, operationWords } from "../../contracts/names.js";
import { canCull, gateOf, isBlended } from "../../contracts/stages.js";
import { planCull } from "../changes/culling.js";
import { askGate } from "../gates/gate-runner.js";
import type { MutableSeed } from "../state/seed.js";
import { advance, cullFailed, requestedBlend } from "./advance.js";
import { type CommandContext, leadStep, stageMismatch, targetSeed } from "./context.js";
import { germinate } from "./germinate.js";
import { applied, type HandlerResult, refused } from "./outcome.js";

type SeedHandler = (context: CommandContext, order: SeedCommand) => HandlerResult;

const HANDLERS: { readonly [O in Operation]: SeedHandler } = {
  GERMINATE: germinate,
  START_TRAINING: (context) => advance(context, "START_TRAINING"),
  START_BLENDING: (context) => advance(context, "START_BLENDING"),
  START_SHADOWING: (context) => advance(context, "START_SHADOWING"),
  START_PROBATION: (context) => advance(context, "START_PROBATION"),
  FOSSILIZE: (context) => advance(context, "FOSSILIZE"),
  CULL: cull,
  CANCEL: cancel,
  ADJUST_BLEND: adjustBlend,
};

export function handleSeed(context: CommandContext, order: SeedCommand): HandlerResult {
  const operation = operationWords.word(order.operation);
  if (!operation) return refused("unknown_operation", undefined, `operation ${order.operation} is unknown`);
  const result = HANDLERS[operation](context, order);
  const seedId = result.seedId ?? (context.command.targetSeedId || undefined);
  context.state.telemetry.event(
    context.state.registry.find(seedId ?? "") ? seedId : undefined,
    "seed_operation",
    result.status === "applied" ? "INFO" : "WARNING",
    {
      operation,
      status: result.status,
      reason: result.status === "refused" ? result.reason : "",
      seed_id: seedId ?? "",
      command_id: context.command.commandId,
    },
  );
  return result;
}

/** Nothing stands in a cull's way but the lifecycle: no blueprint, no pending change, no emergency. */
function cull(context: CommandContext): HandlerResult {
  const target = targetSeed(context);
  if ("refusal" in target) return target.refusal;
  const { seed } = target;
  if (!canCull(seed.stage)) return stageMismatch(seed, "a stage that can be culled");
  if (context.state.plan.ofSeed(seed.id)?.intent.kind === "remove") return refused("change_pending", seed.id);
  const effectiveStep = planCull(context.state, seed, { cause: "command", step: context.now.step });
  return applied(effectiveStep, seed.id);
}

/** A pending change is taken back. A germination that is taken back leaves by way of a cull without embargo. */
function cancel(context: CommandContext): HandlerResult {
  const target = targetSeed(context);
  if ("refusal" in target) return target.refusal;
  const { state, now } = context;
  const { seed } = target;
  const pending = state.plan.ofSeed(seed.id);
  if (!pending || pending.intent.kind === "remove") return refused("nothing_pending", seed.id);
  if (pending.intent.kind === "attach")
    return applied(planCull(state, seed, { cause: "canceled", step: now.step, embargoSteps: 0 }), seed.id);
  state.plan.cancel(seed.id);
  return applied(now.step, seed.id);
}

/** Values alone, so it holds from this boundary on. */
function adjustBlend(context: CommandContext): HandlerResult {
  const target = targetSeed(context);
  if ("refusal" in target) return target.refusal;
  const { state, now } = context;
  const { seed } = target;
  if (!isBlended(seed.stage)) return stageMismatch(seed, "a stage in which it is blended");
  if (state.plan.ofSeed(seed.id)) return refused("change_pending", seed.id);
  const requested = requestedBlend(context, seed);
  if ("problem" in requested) return refused("blend_invalid", seed.id, requested.problem);
  state.plan.add(now.step, { kind: "blend", blend: requested.blend }, seed.id);
  return applied(now.step, seed.id);
}

/** PAUSE: a seed leaves the step with its weights and optimizer state kept, or comes back. */
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
