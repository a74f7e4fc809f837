/** What was measured last, of the network and of each seed: what reports and checkpoints show between two observations. */
import type { SystemState } from "../../contracts/index.js";
import type { RunCheckpoint, SeedOutcome } from "./run-outcome.js";

export type Gains = Pick<SeedOutcome, "shadowGain" | "contribution">;

export class SeedGains {
  readonly #gains = new Map<string, Gains>();
  /** Of the network, in nats; NaN where it is wrecked, undefined before the first observation. */
  heldOutLoss: number | undefined;

  /** Takes what an observation measured; seeds that `isKnown` does not know any more are forgotten. */
  observe({ seeds, heldOutLoss }: SystemState, isKnown: (seedId: string) => boolean): void {
    this.heldOutLoss = heldOutLoss?.value;
    for (const { id, shadowGain, contribution } of seeds) {
      const before = this.of(id);
      this.#gains.set(id, {
        shadowGain: shadowGain?.value ?? before.shadowGain,
        contribution: contribution?.value ?? before.contribution,
      });
    }
    for (const id of [...this.#gains.keys()]) if (!isKnown(id)) this.#gains.delete(id);
  }

  /** What a checkpoint holds. */
  restore({ seeds, heldOutLoss }: Pick<RunCheckpoint, "seeds" | "heldOutLoss">): void {
    this.heldOutLoss = heldOutLoss;
    for (const { seed, shadowGain, contribution } of seeds)
      this.#gains.set(seed.id, { shadowGain, contribution });
  }

  of(seedId: string): Gains {
    return this.#gains.get(seedId) ?? { shadowGain: null, contribution: null };
  }
}
