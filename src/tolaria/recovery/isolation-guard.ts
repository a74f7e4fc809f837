/** Keeps the seeds of a run isolated: no program without its proof, and a look at the gradients every so many steps. */
import type { Tensors } from "../../contracts/index.js";
import type { State } from "../../engine/index.js";
import type { Boundary, IsolationOutcome, Kasmina, Seed } from "../../kasmina/index.js";
import type { PreparedTopology, TopologyPrograms } from "../tracing/programs.js";

/** What a look at the gradients led to, and what it cost in floating point operations. */
export interface Look extends IsolationOutcome {
  readonly flops: number;
}

export class IsolationGuard {
  readonly #kasmina: Kasmina;
  /** Seeds that no program may hold; each is on its way out. */
  readonly #refused = new Set<string>();

  constructor(kasmina: Kasmina) {
    this.#kasmina = kasmina;
  }

  /** The seeds that may be in a program. */
  admitted(): readonly Seed[] {
    const seeds = this.#kasmina.seeds();
    for (const id of this.#refused)
      if (!seeds.some((seed) => seed.id === id && seed.kernel)) this.#refused.delete(id);
    return seeds.filter(({ id }) => !this.#refused.has(id));
  }

  /** The programs where isolation is proven; else the seed that spoils it is refused from now on. */
  admit(prepared: PreparedTopology, step: number): TopologyPrograms | undefined {
    if (!("failure" in prepared)) return prepared;
    this.#refused.add(prepared.failure.seedId);
    this.#kasmina.refuseUnproven(prepared.failure, step);
    return undefined;
  }

  /**
   * Looks at the gradients where it is time to, or where the state is about to be `kept`. `batch` and `controls` are what
   * the step is about to be fed.
   * @throws KasminaError `isolation` where a seed disturbs the host and the configuration says `failFast`
   */
  async look(
    { monitor }: TopologyPrograms,
    state: State,
    batch: Tensors,
    controls: Tensors,
    { now, kept }: { readonly now: Boundary; readonly kept: boolean },
  ): Promise<Look> {
    const due = kept || now.step % this.#kasmina.config.isolation.everySteps === 0;
    if (!monitor || !due) return { violators: [], opened: [], flops: 0 };
    const { readings, flops } = await monitor.check(state, batch, controls);
    return { ...this.#kasmina.recordIsolation(readings, now), flops };
  }
}
