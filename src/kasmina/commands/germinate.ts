/** GERMINATE: asks G0, enters the seed and starts the fetch of its kernel; it is attached a lead later. */
import { resolveParameters } from "../../contracts/blueprint.js";
import type { SeedCommand } from "../../contracts/gen/kasmina/v1/command_pb.js";
import type { KernelRequest, KernelSlot } from "../../contracts/ports.js";
import { reportGate } from "../gates/gate-runner.js";
import { type G0Inputs, type GateResult, g0Sanity } from "../gates/index.js";
import { type MutableSeed, newSeed } from "../state/seed.js";
import { requestedBlend } from "./advance.js";
import { type CommandContext, expectedStageOf, leadStep, quoted } from "./context.js";
import { applied, type HandlerResult, type RefusalReason, refused } from "./outcome.js";

export function germinate(context: CommandContext, order: SeedCommand): HandlerResult {
  const blocked = growthProblem(context);
  if (blocked) return refused(blocked);
  const seedId = context.command.targetSeedId || `seed-${context.state.registry.germinations + 1}`;
  const known = context.state.registry.find(seedId);
  if (known && known.stage !== "DORMANT")
    return refused("seed_exists", seedId, `seed ${quoted(seedId)} is ${known.stage}`);
  const candidate = newSeed({
    id: seedId,
    slotId: context.command.slotId,
    blueprintId: order.blueprintId,
    parameters: Object.fromEntries(order.parameters.map(({ name, value }) => [name, value])),
    germinationOrder: context.state.registry.germinations,
    germinatedAtStep: context.now.step,
  });
  if (context.command.decision?.blend) {
    const requested = requestedBlend(context, candidate);
    if ("problem" in requested) return refused("blend_invalid", undefined, requested.problem);
  }
  const gate = askG0(context, order, candidate);
  if (!gate.passed) return refused(gate.reason, undefined, describe(gate));
  return planSeed(context, order, candidate);
}

function growthProblem({ state, now }: CommandContext): RefusalReason | undefined {
  if (state.emergency === "HALT") return "run_halted";
  if (state.emergency !== undefined) return "growth_paused";
  return state.fetchBreaker.allows(state.runTimeMs(now.step)) ? undefined : "breaker_open";
}

function askG0(context: CommandContext, order: SeedCommand, seed: MutableSeed): GateResult {
  const { state, command } = context;
  const expectedStage = expectedStageOf(command);
  const closure = closureOf(context, seed);
  const inputs: G0Inputs = {
    stage: seed.stage,
    ...(expectedStage !== undefined && { expectedStage }),
    fallbackUsed: false,
    blueprintId: seed.blueprintId,
    blueprint: state.blueprints.find(seed.blueprintId),
    parameters: seed.parameters,
    repeatedParameters: repeated(order.parameters.map(({ name }) => name)),
    slotId: seed.slotId,
    slotShape: state.registry.slot(seed.slotId)?.shape,
    ...(closure && { closure }),
  };
  const result = g0Sanity(inputs);
  reportGate(result, { state, seed, ...(expectedStage !== undefined && { expectedStage }) });
  return result;
}

function closureOf({ state }: CommandContext, { slotId, blueprintId }: MutableSeed): G0Inputs["closure"] {
  const slot = state.closures.ofSlot(slotId);
  if (slot) return { what: "slot", untilStep: slot.untilStep };
  const blueprint = state.closures.ofBlueprint(blueprintId);
  return blueprint && { what: "blueprint", untilStep: blueprint.untilStep };
}

function repeated(names: readonly string[]): readonly string[] {
  const seen = new Set<string>();
  return names.filter((name) => seen.size === seen.add(name).size);
}

function describe(gate: GateResult): string {
  const facts = Object.entries(gate.attributes).map(([name, value]) => `${name} ${value}`);
  return `${gate.gate} failed with ${gate.reason}${facts.length > 0 ? `: ${facts.join(", ")}` : ""}`;
}

function planSeed(context: CommandContext, order: SeedCommand, candidate: MutableSeed): HandlerResult {
  const { state, now } = context;
  const blueprint = state.blueprints.find(candidate.blueprintId);
  const slot = state.registry.slot(candidate.slotId);
  if (!blueprint || !slot) return refused("unknown_blueprint");
  const seed: MutableSeed = {
    ...candidate,
    parameters: resolveParameters(blueprint, candidate.parameters),
    germinationOrder: state.registry.nextGermination(),
  };
  state.registry.move(seed, "GERMINATED");
  state.registry.add(seed);
  const request = kernelRequest(context, order, seed, slot);
  const effectiveStep = leadStep(context);
  state.plan.add(effectiveStep, { kind: "attach", request }, seed.id);
  state.kernels.start(request);
  state.telemetry.event(seed.id, "seed_stage", "INFO", { from: "DORMANT", to: seed.stage, step: now.step });
  return applied(effectiveStep, seed.id);
}

function kernelRequest(
  { state }: CommandContext,
  order: SeedCommand,
  seed: MutableSeed,
  slot: KernelSlot,
): KernelRequest {
  return {
    requestId: `${state.trainingRunId}/${seed.id}/${seed.germinationOrder}`,
    blueprintId: seed.blueprintId,
    parameters: seed.parameters,
    trainingRunId: state.trainingRunId,
    seedId: seed.id,
    slot,
    issuedAtMs: state.clock.nowMs(),
    ...(order.artifactSha256 !== "" && { artifactSha256: order.artifactSha256 }),
  };
}
