/** The execution layer's part of what the policy sees. */
import { countKernelParameters } from "../../contracts/blueprint.js";
import type { SeedState, SlotState, SystemState } from "../../contracts/ports.js";
import type { SlotSpec } from "../state/registry.js";
import type { RunState } from "../state/run-state.js";
import { isRampDone, type Seed } from "../state/seed.js";
import { alphaOf } from "./measurements.js";

export type RunDescription = Pick<SystemState, "seeds" | "slots" | "closedBlueprints" | "openBreakers">;

export function describeRun(state: RunState, step: number): RunDescription {
  const living = state.registry.livingSeeds();
  const blueprintIds = [...new Set(state.closures.all.map((closure) => closure.blueprintId))];
  return {
    seeds: living.map((seed) => describeSeed(state, seed, step)),
    slots: state.registry.slots.map((slot) => describeSlot(state, slot, living)),
    closedBlueprints: Object.fromEntries(
      blueprintIds.map((id) => [id, state.closures.ofBlueprint(id)?.untilStep ?? step]),
    ),
    openBreakers: state.fetchBreaker.allows(state.runTimeMs(step)) ? [] : ["fetch"],
  };
}

function describeSeed(state: RunState, seed: Seed, step: number): SeedState {
  const { shadowGain, contribution } = seed.stats;
  const pending = state.plan.ofSeed(seed.id);
  const blueprint = state.blueprints.find(seed.blueprintId);
  const shape = state.registry.slot(seed.slotId)?.shape;
  return {
    id: seed.id,
    slotId: seed.slotId,
    blueprintId: seed.blueprintId,
    stage: seed.stage,
    ...(seed.pausedFrom !== undefined && { pausedFrom: seed.pausedFrom }),
    alpha: alphaOf(seed, step),
    rampDone: isRampDone(seed, step),
    ...(pending && { pending: { change: pending.intent.kind, effectiveStep: pending.effectiveStep } }),
    ...(shadowGain && { shadowGain }),
    ...(contribution && { contribution }),
    // Those of one that the run began with are the host's.
    parameters:
      blueprint && shape && !seed.inherited ? countKernelParameters(blueprint, shape, seed.parameters) : 0,
  };
}

function describeSlot(state: RunState, slot: SlotSpec, living: readonly Seed[]): SlotState {
  const closure = state.closures.ofSlot(slot.id);
  return {
    ...slot,
    seedIds: living.filter((seed) => seed.slotId === slot.id).map((seed) => seed.id),
    ...(closure && { closedUntilStep: closure.untilStep }),
  };
}
