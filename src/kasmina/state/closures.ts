/** Embargoes: slots and blueprints that stay closed until a step, so that a failure is not repeated at once. */
import type { Seed } from "./seed.js";

export interface Closure {
  readonly seedId: string;
  readonly slotId: string;
  readonly blueprintId: string;
  /** The first step at which it may open; it opens when its seed's reset has passed G5. */
  readonly untilStep: number;
}

export class Closures {
  readonly #bySeed = new Map<string, Closure>();

  /** Closes the seed's slot and blueprint until `untilStep`, and beyond while its reset has not passed. */
  close(seed: Seed, untilStep: number): void {
    const { id: seedId, slotId, blueprintId } = seed;
    this.#bySeed.set(seedId, { seedId, slotId, blueprintId, untilStep });
  }

  open(seedId: string): void {
    this.#bySeed.delete(seedId);
  }

  clear(): void {
    this.#bySeed.clear();
  }

  get all(): readonly Closure[] {
    return [...this.#bySeed.values()];
  }

  ofSeed(seedId: string): Closure | undefined {
    return this.#bySeed.get(seedId);
  }

  /** The closure that ends last of those on a slot. */
  ofSlot(slotId: string): Closure | undefined {
    return this.#latest((closure) => closure.slotId === slotId);
  }

  ofBlueprint(blueprintId: string): Closure | undefined {
    return this.#latest((closure) => closure.blueprintId === blueprintId);
  }

  restore(closures: readonly Closure[]): void {
    this.#bySeed.clear();
    for (const closure of closures) this.#bySeed.set(closure.seedId, closure);
  }

  #latest(matches: (closure: Closure) => boolean): Closure | undefined {
    return this.all.filter(matches).sort((a, b) => b.untilStep - a.untilStep)[0];
  }
}
