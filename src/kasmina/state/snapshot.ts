/** The execution layer's part of a checkpoint, as plain data and as text. */

import type { Breaker, BreakerSnapshot } from "../../base/breaker.js";
import { type IsolationTally, keepWorst } from "../../contracts/isolation.js";
import type { InstalledTopology } from "../../contracts/ports.js";
import type { PlanSnapshot } from "./change-plan.js";
import type { Closure } from "./closures.js";
import type { RunState, StandingEmergency } from "./run-state.js";
import type { Seed } from "./seed.js";

export interface KasminaSnapshot {
  readonly version: 1;
  readonly seeds: readonly Seed[];
  readonly germinations: number;
  readonly plan: PlanSnapshot;
  readonly closures: readonly Closure[];
  readonly emergency?: Exclude<StandingEmergency, undefined>;
  readonly fetchBreaker: BreakerSnapshot;
  readonly isolationBreakers: Readonly<Record<string, BreakerSnapshot>>;
  readonly isolation: IsolationTally;
  readonly topology?: InstalledTopology;
  /** Journaled commands up to this one are in the snapshot. */
  readonly journalSequence: number;
}

export function takeSnapshot(state: RunState, journalSequence: number): KasminaSnapshot {
  const breakers = [...state.isolationBreakers].map(([id, breaker]: [string, Breaker]) => [
    id,
    breaker.snapshot(),
  ]);
  return structuredClone({
    version: 1,
    seeds: state.registry.seeds(),
    germinations: state.registry.germinations,
    plan: state.plan.snapshot(),
    closures: state.closures.all,
    ...(state.emergency !== undefined && { emergency: state.emergency }),
    fetchBreaker: state.fetchBreaker.snapshot(),
    isolationBreakers: Object.fromEntries(breakers),
    isolation: state.isolation,
    ...(state.topology && { topology: state.topology }),
    journalSequence,
  });
}

/** Puts the state back, and asks again for kernels that were on their way. */
export function restoreSnapshot(state: RunState, snapshot: KasminaSnapshot): void {
  const copy = structuredClone(snapshot);
  state.kernels.cancelAll();
  state.registry.clear();
  for (const seed of copy.seeds) state.registry.add({ ...seed });
  state.registry.restoreGerminations(copy.germinations);
  state.plan.restore(copy.plan);
  state.closures.restore(copy.closures);
  state.emergency = copy.emergency;
  state.topology = copy.topology;
  state.fetchBreaker.restore(copy.fetchBreaker);
  for (const id of [...state.isolationBreakers.keys()]) state.forgetSeed(id);
  for (const [id, breaker] of Object.entries(copy.isolationBreakers))
    state.isolationBreaker(id).restore(breaker);
  keepWorst(state.isolation, copy.isolation);
  for (const { intent } of state.plan.all) if (intent.kind === "attach") state.kernels.start(intent.request);
}
