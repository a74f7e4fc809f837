/**
 * The step boundary: carries out what is due, in the order it was accepted, and reports to the trainer what changed.
 * Nothing here depends on the clock: a kernel that is not there yet is waited for, and the wait is counted.
 */
import type { Stage } from "../../contracts/names.js";
import type { Kernel } from "../../contracts/ports.js";
import { canCull } from "../../contracts/stages.js";
import type { Attributes } from "../../contracts/telemetry.js";
import { reportGate } from "../gates/gate-runner.js";
import { type GateResult, g0Sanity } from "../gates/index.js";
import type { FetchOutcome } from "../kernels/due-kernels.js";
import type { Intent, PlannedChange, StructuralChange } from "../state/change-plan.js";
import type { RunState } from "../state/run-state.js";
import { holdRamp, type MutableSeed, releaseRamp, startStage } from "../state/seed.js";
import { planCull } from "./culling.js";

interface Due {
  readonly change: PlannedChange;
  readonly step: number;
  /** What became of the kernel of a change that attaches one. */
  readonly fetched?: FetchOutcome | undefined;
}

function tellBlend(state: RunState, { id, blend }: MutableSeed, step: number): void {
  const { mode, alphaTarget, alphaVec, confidenceLogits } = blend;
  state.telemetry.event(id, "blend_config", "INFO", {
    mode,
    alpha_target: alphaTarget,
    alpha_vec: alphaVec.length,
    confidence_logits: confidenceLogits.length,
    step,
  });
}

type Effect<K extends Intent["kind"]> = (
  state: RunState,
  intent: Extract<Intent, { kind: K }>,
  due: Due,
) => StructuralChange | undefined;

const EFFECTS: { readonly [K in Intent["kind"]]: Effect<K> } = {
  attach,
  stage: (state, intent, { change, step }) => {
    const seed = seedOf(state, change);
    if (intent.to === "BLENDING") {
      startRamp(seed, intent.blend ?? seed.blend, step);
      tellBlend(state, seed, step);
    }
    return { kind: "stage", seed, from: moveSeed(state, seed, intent.to, step), to: intent.to };
  },
  remove,
  pause: (state, _, { change, step }) => {
    const seed = seedOf(state, change);
    seed.pausedFrom = seed.stage;
    holdRamp(seed, step);
    state.telemetry.event(seed.id, "seed_paused", "INFO", { stage: seed.stage, step });
    return { kind: "pause", seed };
  },
  resume: (state, _, { change, step }) => {
    const seed = seedOf(state, change);
    delete seed.pausedFrom;
    if (state.emergency !== "FREEZE_SEEDS") releaseRamp(seed, step);
    state.telemetry.event(seed.id, "seed_resumed", "INFO", { stage: seed.stage, step });
    return { kind: "resume", seed };
  },
  blend: (state, intent, { change, step }) => {
    const seed = seedOf(state, change);
    seed.blend = intent.blend;
    tellBlend(state, seed, step);
    return { kind: "blend", seed };
  },
  optimizer: (state, { target, settings }) => {
    const seed = state.registry.find(target);
    // It may have been culled at this very boundary.
    return seed && !canCull(seed.stage) ? undefined : { kind: "optimizer", target, settings };
  },
  emergency: (state, { level, reason }, { step }) => {
    for (const seed of state.registry.livingSeeds()) {
      if (level === "FREEZE_SEEDS") holdRamp(seed, step);
      else if (seed.pausedFrom === undefined) releaseRamp(seed, step);
    }
    return { kind: "emergency", level, reason };
  },
  rollback: (_, { source, reason }) => ({ kind: "rollback", source, reason }),
  reset,
};

/**
 * Carries out what is due at `step`, in order; from a kernel that `signal` keeps from being waited for on, nothing. A
 * rollback comes last: what is due after it holds for the state that it brings, and is due at the next call.
 */
export async function takeDueEffects(
  state: RunState,
  step: number,
  signal?: AbortSignal,
): Promise<StructuralChange[]> {
  const changes: StructuralChange[] = [];
  for (let change = state.plan.due(step); change; change = state.plan.due(step)) {
    const { intent } = change;
    const fetched =
      intent.kind === "attach" ? await state.kernels.due(intent.request, step, signal) : undefined;
    if (intent.kind === "attach" && !fetched) break;
    state.plan.take(change);
    const effect = EFFECTS[intent.kind] as Effect<Intent["kind"]>;
    const structural = effect(state, intent, { change, step, fetched });
    if (structural) changes.push(structural);
    if (intent.kind === "rollback") break;
  }
  return changes;
}

function seedOf(state: RunState, { seedId = "" }: PlannedChange): MutableSeed {
  return state.registry.get(seedId);
}

/** Moves a seed to a stage and reports it; returns the stage it was in. */
export function moveSeed(
  state: RunState,
  seed: MutableSeed,
  to: Stage,
  step: number,
  attributes: Attributes = {},
): Stage {
  const from = state.registry.move(seed, to);
  startStage(seed);
  state.telemetry.event(seed.id, "seed_stage", "INFO", { from, to, step, ...attributes });
  return from;
}

function startRamp(seed: MutableSeed, blend: MutableSeed["blend"], step: number): void {
  seed.blend = blend;
  seed.rampStartStep = step;
  delete seed.rampHeldAtStep;
}

function attach(
  state: RunState,
  { request }: Extract<Intent, { kind: "attach" }>,
  { change, step, fetched: result }: Due,
): StructuralChange | undefined {
  const seed = seedOf(state, change);
  if (!result) return undefined;
  const gate = admitKernel(state, seed, result, request.artifactSha256);
  reportGate(gate, { state, seed });
  reportFetchBreaker(state, seed, gate, step);
  if (!gate.passed || !("kernel" in result)) {
    planCull(state, seed, { cause: gate.reason, step });
    return undefined;
  }
  const { tensors: _, ...facts } = result.kernel;
  seed.kernel = facts;
  state.telemetry.gauge(seed.id, "kasmina.prewarm.latency_ms", facts.prewarmP50Ms);
  return { kind: "attach", seed, kernel: result.kernel };
}

/** G0 once more, now with the artifact; a fetch that failed fails the gate that wants a kernel. */
function admitKernel(
  state: RunState,
  seed: MutableSeed,
  result: FetchOutcome,
  expectedSha256: string | undefined,
): GateResult {
  if ("error" in result) {
    const { message, code } = result.error;
    state.telemetry.event(seed.id, "dependency_violation", "ERROR", {
      seed_id: seed.id,
      blueprint_id: seed.blueprintId,
      training_run_id: state.trainingRunId,
      code,
      message,
    });
    const attributes = { cause: message };
    return { gate: "G1_GRADIENT_HEALTH", passed: false, reason: "kernel_not_attached", attributes };
  }
  return g0Sanity({
    stage: seed.stage,
    fallbackUsed: result.kernel.fallbackUsed,
    blueprintId: seed.blueprintId,
    blueprint: state.blueprints.find(seed.blueprintId),
    parameters: seed.parameters,
    slotId: seed.slotId,
    slotShape: state.registry.slot(seed.slotId)?.shape,
    artifact: artifactFacts(result.kernel, expectedSha256),
  });
}

function artifactFacts({ blueprintId, sha256 }: Kernel, expectedSha256: string | undefined) {
  return { blueprintId, sha256, ...(expectedSha256 !== undefined && { expectedSha256 }) };
}

function reportFetchBreaker(state: RunState, seed: MutableSeed, gate: GateResult, step: number): void {
  const breaker = state.fetchBreaker;
  const runTimeMs = state.runTimeMs(step);
  const turned = gate.passed ? breaker.recordSuccess(runTimeMs) : breaker.recordFailure(runTimeMs);
  if (!turned) return;
  state.telemetry.event(undefined, "breaker_event", gate.passed ? "INFO" : "ERROR", {
    breaker: "fetch",
    state: breaker.state(runTimeMs),
    seed_id: seed.id,
    reason: gate.reason,
  });
}

function remove(
  state: RunState,
  { cause }: Extract<Intent, { kind: "remove" }>,
  { change, step }: Due,
): StructuralChange | undefined {
  const seed = seedOf(state, change);
  moveSeed(state, seed, "CULLED", step, { cause });
  embargo(state, seed, state.closures.ofSeed(seed.id)?.untilStep ?? step, step);
  return { kind: "remove", seedId: seed.id, seed, cause };
}

function embargo(state: RunState, seed: MutableSeed, untilStep: number, step: number): void {
  moveSeed(state, seed, "EMBARGOED", step);
  seed.embargoUntilStep = untilStep;
  delete seed.pausedFrom;
}

/** Seeds go by way of a cull without embargo, so that G5 looks for what is left of them; fossilized ones stay. */
function reset(
  state: RunState,
  { scope }: Extract<Intent, { kind: "reset" }>,
  { step }: Due,
): StructuralChange {
  const seeds = state.registry.livingSeeds().filter((seed) => seed.stage !== "FOSSILIZED");
  for (const seed of seeds) {
    state.closures.close(seed, step);
    if (seed.embargoUntilStep === undefined) moveSeed(state, seed, "CULLED", step);
    if (seed.stage === "CULLED") embargo(state, seed, step, step);
    seed.embargoUntilStep = step;
  }
  state.registry.retireDormant(0);
  const seedIds = seeds.map((seed) => seed.id);
  state.telemetry.event(undefined, "registry_reset", "WARNING", { scope, seeds: seedIds.length, step });
  if (scope === "teacher") deregisterTeacher(state);
  return { kind: "reset", scope, seedIds };
}

export function deregisterTeacher(state: RunState): void {
  const teacher = state.teacher.deregister();
  if (teacher)
    state.telemetry.event(undefined, "teacher_deregistered", "INFO", {
      teacher_id: teacher.id,
      bytes: teacher.bytes,
    });
}
