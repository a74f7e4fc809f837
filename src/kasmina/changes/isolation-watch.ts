/** What the monitor's readings and a failed proof lead to: they are reported, counted for their seed alone, and cull it. */

import { KasminaError } from "../../base/errors.js";
import { type IsolationFailure, type IsolationReading, violationOf } from "../../contracts/isolation.js";
import type { Attributes } from "../../contracts/telemetry.js";
import type { RunState } from "../state/run-state.js";
import { planCull } from "./culling.js";

/** What a look of the monitor led to: seeds by their ids. */
export interface IsolationOutcome {
  /** Broke a limit. */
  readonly violators: readonly string[];
  /** Of these: broke one so often that their breaker opened, which culls them. */
  readonly opened: readonly string[];
}

/** Takes in what the monitor read. */
export function recordReadings(
  state: RunState,
  readings: readonly IsolationReading[],
  step: number,
): IsolationOutcome {
  const violators: string[] = [];
  const opened: string[] = [];
  for (const reading of readings) {
    const { seedId, leakRatio, cosine } = reading;
    state.telemetry.gauge(seedId, "kasmina.seed.isolation.leak_ratio", leakRatio);
    state.telemetry.gauge(seedId, "kasmina.seed.isolation.cosine", cosine);
    state.isolation.maxLeakRatio = Math.max(state.isolation.maxLeakRatio, leakRatio);
    state.isolation.maxCosine = Math.max(state.isolation.maxCosine, Math.abs(cosine));
    const limit = violationOf(reading, state.config.isolation);
    if (!limit) continue;
    const opens = recordViolation(state, seedId, step, { limit, leak_ratio: leakRatio, cosine });
    violators.push(seedId);
    if (opens) opened.push(seedId);
  }
  return { violators, opened };
}

/** What `isolation.failFast` throws. */
export function isolationError(readings: readonly IsolationReading[], violators: readonly string[]): Error {
  const broken = readings.filter(({ seedId }) => violators.includes(seedId));
  const words = broken.map(
    ({ seedId, leakRatio, cosine }) =>
      `seed ${seedId} leaks ${leakRatio} of the host's gradient, cosine ${cosine}`,
  );
  return new KasminaError("isolation", words.join("; "), { details: { readings: broken } });
}

/** Reports that a program is not installed because of a seed, and plans the seed's removal where none is planned yet. */
export function refuseUnproven(state: RunState, failure: IsolationFailure, step: number): void {
  const { seedId, message, path } = failure;
  const seed = state.registry.get(seedId);
  const leaving = state.plan.ofSeed(seedId)?.intent.kind === "remove";
  if (!leaving) planCull(state, seed, { cause: "isolation_unproven", step });
  state.telemetry.event(seedId, "isolation_unproven", "CRITICAL", {
    seed_id: seedId,
    blueprint_id: seed.blueprintId,
    slot_id: seed.slotId,
    stage: seed.stage,
    message,
    path: path.join(" → "),
    effective_step: state.plan.ofSeed(seedId)?.effectiveStep ?? step,
  });
}

/**
 * Records one violation of a seed. Reports `violation_recorded`, and where the seed's own breaker opens,
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
  state.isolation.violations++;
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
