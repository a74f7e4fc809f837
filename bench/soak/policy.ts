/**
 * The policy of a soak: the first seed is fossilized, another is held in the output at its full alpha, and more come and go
 * in parallel, some of a blueprint that turns to NaN. It asks no questions: it is faults that are tested, not judgement.
 */
import { advanceFrom, isLiving, type SeedState, type Stage, type SystemState } from "kasmina/contracts";
import type { Decision, Policy } from "kasmina/tamiyo";

/** What becomes of a seed: it stays in this stage, or it is culled there. */
interface Role {
  readonly name: string;
  readonly slotId: string;
  readonly blueprintId: string;
  readonly parameters: Readonly<Record<string, number>>;
  readonly until: Stage;
  readonly culledThere: boolean;
  /** At most so many in a run. */
  readonly times: number;
}

const SMALL = { blueprintId: "mlp-residual", parameters: { hidden: 8 } };
const ROLES: readonly Role[] = [
  { ...SMALL, name: "kept", slotId: "block1", until: "FOSSILIZED", culledThere: false, times: 1 },
  { ...SMALL, name: "held", slotId: "block1", until: "PROBATIONARY", culledThere: false, times: 1e9 },
  {
    name: "passing",
    slotId: "block2",
    blueprintId: "low-rank",
    parameters: { rank: 2 },
    until: "SHADOWING",
    culledThere: true,
    times: 1e9,
  },
  {
    name: "breaking",
    slotId: "block2",
    blueprintId: "turns-nan",
    parameters: { length: 0.05 },
    until: "SHADOWING",
    culledThere: true,
    times: 1e9,
  },
];

export class SoakPolicy implements Policy {
  readonly version = "soak-1";
  readonly candidates = ROLES.slice(1).map(({ blueprintId: id, parameters }) => ({ id, parameters }));
  /** How many seeds each role has had. */
  #made: Readonly<Record<string, number>> = {};
  /** As last seen. */
  seeds: readonly SeedState[] = [];

  decide(state: SystemState): readonly Decision[] {
    this.seeds = state.seeds;
    return ROLES.flatMap((role) => this.#decideFor(role, state) ?? []);
  }

  snapshot(): unknown {
    return this.#made;
  }

  restore(snapshot: unknown): void {
    this.#made = snapshot as Readonly<Record<string, number>>;
  }

  #decideFor(role: Role, state: SystemState): Decision | undefined {
    const own = state.seeds.filter(({ id, stage }) => id.startsWith(`${role.name}-`) && isLiving(stage));
    const [seed] = own;
    if (!seed) return this.#germinate(role, state);
    const basis = { why: "as the soak wants it", logits: [1, 0], seedId: seed.id };
    const { stage, pending, pausedFrom, rampDone } = seed;
    if (pending || pausedFrom !== undefined || (stage === "BLENDING" && !rampDone)) return undefined;
    if (stage === role.until)
      return role.culledThere ? { ...basis, action: "cull", expectedStage: stage } : undefined;
    const operation = advanceFrom(stage)?.operation;
    return operation && { ...basis, action: "advance", operation, expectedStage: stage };
  }

  #germinate(role: Role, { slots, closedBlueprints }: SystemState): Decision | undefined {
    const made = this.#made[role.name] ?? 0;
    const slot = slots.find(({ id }) => id === role.slotId);
    const isClosed = slot?.closedUntilStep !== undefined || Object.hasOwn(closedBlueprints, role.blueprintId);
    if (made >= role.times || isClosed) return undefined;
    this.#made = { ...this.#made, [role.name]: made + 1 };
    const { slotId, blueprintId, parameters } = role;
    const why = "the role has no seed";
    return {
      action: "germinate",
      seedId: `${role.name}-${made + 1}`,
      slotId,
      blueprintId,
      parameters,
      why,
      logits: [1, 0],
    };
  }
}
