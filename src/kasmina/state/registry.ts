/** The seeds and slots of one run, in the order that the topology runs them: slot by slot, then by germination. */
import { KasminaError } from "../../base/errors.js";
import type { Stage } from "../../contracts/names.js";
import type { KernelSlot } from "../../contracts/ports.js";
import { canTransition, isLiving, stagesAfter } from "../../contracts/stages.js";
import type { MutableSeed, Seed } from "./seed.js";

/** A place where seeds live, as the host exposes it. */
export type SlotSpec = KernelSlot;

export class SeedRegistry {
  readonly #slots: ReadonlyMap<string, SlotSpec>;
  readonly #slotOrder: ReadonlyMap<string, number>;
  readonly #seeds = new Map<string, MutableSeed>();
  /** Sorted once, until a seed comes or goes: several times a step somebody asks. */
  #inOrder: readonly MutableSeed[] | undefined;
  #germinations = 0;

  /** @param slots in host order */
  constructor(slots: readonly SlotSpec[]) {
    this.#slots = new Map(slots.map((slot) => [slot.id, slot]));
    this.#slotOrder = new Map(slots.map((slot, order) => [slot.id, order]));
    if (this.#slots.size !== slots.length)
      throw new KasminaError("invalid_argument", "two slots of the host share an id");
  }

  get slots(): readonly SlotSpec[] {
    return [...this.#slots.values()];
  }

  slot(id: string): SlotSpec | undefined {
    return this.#slots.get(id);
  }

  find(id: string): MutableSeed | undefined {
    return this.#seeds.get(id);
  }

  /** @throws KasminaError `illegal_state` where there is no such seed */
  get(id: string): MutableSeed {
    const seed = this.#seeds.get(id);
    if (!seed) throw new KasminaError("illegal_state", `there is no seed ${id}`);
    return seed;
  }

  /** Every seed on record, slot by slot, then by germination. */
  seeds(): readonly MutableSeed[] {
    const slotOf = (seed: Seed): number => this.#slotOrder.get(seed.slotId) ?? this.#slots.size;
    this.#inOrder ??= [...this.#seeds.values()].sort(
      (a, b) => slotOf(a) - slotOf(b) || a.germinationOrder - b.germinationOrder,
    );
    return this.#inOrder;
  }

  isLiving(id: string): boolean {
    const seed = this.#seeds.get(id);
    return seed !== undefined && isLiving(seed.stage);
  }

  /** Seeds that are somewhere between germination and the end of their reset. */
  livingSeeds(): readonly MutableSeed[] {
    return this.seeds().filter((seed) => isLiving(seed.stage));
  }

  /** The next germination's place in the order; 0, 1, 2, … */
  nextGermination(): number {
    return this.#germinations++;
  }

  get germinations(): number {
    return this.#germinations;
  }

  add(seed: MutableSeed): void {
    this.#seeds.set(seed.id, seed);
    this.#inOrder = undefined;
    this.#germinations = Math.max(this.#germinations, seed.germinationOrder + 1);
  }

  remove(id: string): void {
    this.#seeds.delete(id);
    this.#inOrder = undefined;
  }

  clear(): void {
    this.#seeds.clear();
    this.#inOrder = undefined;
  }

  /**
   * Moves a seed along the lifecycle and returns the stage it was in.
   * @throws KasminaError `illegal_state` for a transition that the lifecycle does not allow
   */
  move(seed: MutableSeed, to: Stage): Stage {
    const from = seed.stage;
    if (!canTransition(from, to)) {
      const allowed = stagesAfter(from).join(" or ") || "nothing";
      throw new KasminaError(
        "illegal_state",
        `a seed cannot go from ${from} to ${to}: ${allowed} may follow`,
        {
          details: { from, to },
        },
      );
    }
    seed.stage = to;
    return from;
  }

  /** Terminates the oldest dormant seeds beyond `keep` and returns their ids. */
  retireDormant(keep: number): readonly string[] {
    const dormant = this.seeds()
      .filter((seed) => seed.stage === "DORMANT")
      .sort((a, b) => a.germinationOrder - b.germinationOrder);
    const retired = dormant.slice(0, Math.max(0, dormant.length - keep));
    for (const seed of retired) {
      this.move(seed, "TERMINATED");
      this.remove(seed.id);
    }
    return retired.map((seed) => seed.id);
  }

  /** Restores a count that removed seeds took with them. */
  restoreGerminations(count: number): void {
    this.#germinations = Math.max(this.#germinations, count);
  }
}
