/** Ends embargoes: EMBARGOED → RESETTING → G5 → DORMANT. A seed of which something is left stays in RESETTING. */
import { DEFAULT_BLEND } from "../../contracts/blend.js";
import { reportGate } from "../gates/gate-runner.js";
import { g5Reset } from "../gates/index.js";
import type { RunState } from "../state/run-state.js";
import { type MutableSeed, NO_STATS } from "../state/seed.js";
import { moveSeed } from "./effects.js";

/** Looks for what is left of a culled seed. The trainer has one. */
export interface ResidueProbe {
  /** Paths of parameters, optimizer entries, cache references and program inputs of the seed that are still there. */
  residue(seedId: string): readonly string[];
}

export class ResetWatch {
  readonly #state: RunState;
  /** What G5 last found of a seed, so that the same residue is reported once. */
  readonly #reported = new Map<string, string>();

  constructor(state: RunState) {
    this.#state = state;
  }

  /** Brings every seed whose embargo is over to DORMANT, if nothing of it is left. Returns their ids. */
  finish(step: number, probe: ResidueProbe): readonly string[] {
    const done: string[] = [];
    for (const seed of this.#state.registry.seeds()) {
      if (seed.stage === "EMBARGOED" && (seed.embargoUntilStep ?? 0) <= step)
        moveSeed(this.#state, seed, "RESETTING", step);
      if (seed.stage === "RESETTING" && this.#passes(seed, probe)) {
        this.#rest(seed, step);
        done.push(seed.id);
      }
    }
    this.#state.registry.retireDormant(this.#state.config.dormantSeeds);
    return done;
  }

  #passes(seed: MutableSeed, probe: ResidueProbe): boolean {
    const residue = [...probe.residue(seed.id), ...this.#ownResidue(seed)];
    const result = g5Reset({ stage: seed.stage, fallbackUsed: false, residue });
    const found = residue.join("\n");
    if (result.passed || this.#reported.get(seed.id) !== found)
      reportGate(result, { state: this.#state, seed });
    this.#reported.set(seed.id, found);
    return result.passed;
  }

  /** What this room itself could have kept. */
  #ownResidue(seed: MutableSeed): readonly string[] {
    const { kernels, plan, topology } = this.#state;
    return [
      ...(kernels.seedIds.includes(seed.id) ? [`fetch/${seed.id}`] : []),
      ...(plan.ofSeed(seed.id) ? [`plan/${seed.id}`] : []),
      ...(topology && Object.hasOwn(topology.seeds, seed.id) ? [`topology/${seed.id}`] : []),
    ];
  }

  #rest(seed: MutableSeed, step: number): void {
    const state = this.#state;
    moveSeed(state, seed, "DORMANT", step);
    delete seed.kernel;
    delete seed.rampStartStep;
    delete seed.rampHeldAtStep;
    delete seed.embargoUntilStep;
    seed.blend = DEFAULT_BLEND;
    seed.stats = NO_STATS;
    state.closures.open(seed.id);
    state.forgetSeed(seed.id);
    this.#reported.delete(seed.id);
    state.telemetry.retire(seed.id);
  }
}
