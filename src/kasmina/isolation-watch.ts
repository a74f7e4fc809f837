/** What a violation of isolation leads to: it is told, counted for its seed, and culls that seed when its breaker opens. */
import type { Attributes } from "../contracts/telemetry.js";
import { planCull } from "./culling.js";
import type { RunState } from "./run-state.js";

/**
 * Records one violation of a seed. Tells `violation_recorded`, and where the seed's own breaker opens,
 * `isolation_breaker` and plans the cull.
 * @returns whether the breaker opened
 */
export function recordViolation(
  state: RunState,
  seedId: string,
  step: number,
  attributes: Attributes,
): boolean {
  const seed = state.registry.get(seedId);
  const violations = seed.stats.isolationViolations + 1;
  seed.stats = { ...seed.stats, isolationViolations: violations };
  state.telemetry.event(seedId, "violation_recorded", "ERROR", {
    ...attributes,
    seed_id: seedId,
    violations,
  });
  const breaker = state.isolationBreaker(seedId);
  if (!breaker.recordFailure(state.runTimeMs(step))) return false;
  const effectiveStep = planCull(state, seed, { cause: "isolation_violations", step });
  state.telemetry.event(seedId, "isolation_breaker", "CRITICAL", {
    seed_id: seedId,
    blueprint_id: seed.blueprintId,
    stage: seed.stage,
    violations,
    effective_step: effectiveStep,
  });
  return true;
}
