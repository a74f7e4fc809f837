/**
 * Rollback, the execution layer's part: seeds, plans and embargoes are again what they were some steps ago. What guards
 * the run is not taken back: an operator's emergency level, the breaker of fetches, the tally of isolation, the nonces.
 */
import { dropAdvances } from "../commands/run-commands.js";
import type { RunState } from "../state/run-state.js";
import { holdRamp, releaseRamp } from "../state/seed.js";
import { type KasminaSnapshot, restoreSnapshot } from "../state/snapshot.js";

export interface RollbackSteps {
  /** The boundary at which the snapshot was taken. */
  readonly fromStep: number;
  /** The next step that runs. */
  readonly step: number;
}

/**
 * Returns to a snapshot of the same run, without doing any command again. What was under way then has as long to go as it
 * had: ramps, planned changes, embargoes. Seeds that have come to be since are gone.
 */
export function rollBackTo(
  state: RunState,
  snapshot: KasminaSnapshot,
  { fromStep, step }: RollbackSteps,
): void {
  const { emergency } = state;
  const fetchBreaker = state.fetchBreaker.snapshot();
  const seedIds = state.registry.seeds().map(({ id }) => id);
  // Orders to the run itself take effect at the boundary that accepts them: those that still wait came after this one.
  const after = state.plan.all.filter(({ seedId }) => seedId === undefined);
  restoreSnapshot(state, shiftSnapshot(snapshot, step - fromStep));
  for (const { effectiveStep, intent } of after) state.plan.add(effectiveStep, intent);
  state.emergency = emergency;
  state.fetchBreaker.restore(fetchBreaker);
  if (emergency === "FREEZE_SEEDS") dropAdvances(state);
  for (const seed of state.registry.livingSeeds()) {
    if (emergency === "FREEZE_SEEDS") holdRamp(seed, step);
    else if (seed.pausedFrom === undefined) releaseRamp(seed, step);
  }
  for (const id of seedIds) if (!state.registry.find(id)) state.telemetry.retire(id);
}

/** The snapshot as if it had been taken `steps` later: ramps, plans and embargoes have as long to go as they had. */
function shiftSnapshot(snapshot: KasminaSnapshot, steps: number): KasminaSnapshot {
  const later = (step: number | undefined): number | undefined =>
    step === undefined ? undefined : step + steps;
  return {
    ...snapshot,
    seeds: snapshot.seeds.map((seed) => {
      const moved = {
        rampStartStep: later(seed.rampStartStep),
        rampHeldAtStep: later(seed.rampHeldAtStep),
        embargoUntilStep: later(seed.embargoUntilStep),
      };
      const known = Object.entries(moved).filter(([, step]) => step !== undefined);
      return { ...seed, ...Object.fromEntries(known) };
    }),
    plan: {
      ...snapshot.plan,
      changes: snapshot.plan.changes.map((change) => ({
        ...change,
        effectiveStep: change.effectiveStep + steps,
      })),
    },
    closures: snapshot.closures.map((closure) => ({ ...closure, untilStep: closure.untilStep + steps })),
  };
}
