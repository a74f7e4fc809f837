/** The last gains that were measured of each seed: what reports and checkpoints tell of it between two measurements. */
import type { SystemState } from "../../contracts/index.js";
import type { GrownSeed } from "./grow-result.js";

export type Gains = Pick<GrownSeed, "shadowGain" | "contribution">;

export class SeedGains {
  readonly #gains = new Map<string, Gains>();

  /** Takes what an observation measured; seeds that `isKnown` does not know any more are forgotten. */
  observe({ seeds }: SystemState, isKnown: (seedId: string) => boolean): void {
    for (const { id, shadowGain, contribution } of seeds) {
      const before = this.of(id);
      this.#gains.set(id, {
        shadowGain: shadowGain?.value ?? before.shadowGain,
        contribution: contribution?.value ?? before.contribution,
      });
    }
    for (const id of [...this.#gains.keys()]) if (!isKnown(id)) this.#gains.delete(id);
  }

  /** What a checkpoint tells. */
  restore(seeds: readonly GrownSeed[]): void {
    for (const { seed, shadowGain, contribution } of seeds)
      this.#gains.set(seed.id, { shadowGain, contribution });
  }

  of(seedId: string): Gains {
    return this.#gains.get(seedId) ?? { shadowGain: null, contribution: null };
  }
}
