/** Carries out what Kasmina decided: each kind of change on the model's state, at a step boundary. */
import type { EmergencyLevel, RollbackSource } from "../contracts/index.js";
import type { StructuralChange } from "../kasmina/index.js";
import type { HyperControls } from "./hyper.js";
import type { ModelState } from "./model-state.js";

/** What a change can touch. */
export interface ChangeTarget {
  readonly model: ModelState;
  readonly hyper: HyperControls;
  readonly rollBack: (source: RollbackSource, reason: string) => void | Promise<void>;
  readonly emergency: (level: EmergencyLevel) => void;
}

type Carry<K extends StructuralChange["kind"]> = (
  target: ChangeTarget,
  change: Extract<StructuralChange, { kind: K }>,
) => void | Promise<void>;

const CARRY: { readonly [K in StructuralChange["kind"]]: Carry<K> } = {
  attach: ({ model }, { seed, kernel }) => model.addSeed(seed.id, kernel.tensors),
  stage: ({ model, hyper }, { seed, to }) => {
    if (to !== "FOSSILIZED") return;
    model.giveToHost(seed.id);
    hyper.remove(seed.id);
  },
  remove: ({ model, hyper }, { seedId }) => {
    model.removeSeed(seedId);
    hyper.remove(seedId);
  },
  pause: () => undefined,
  resume: () => undefined,
  blend: () => undefined,
  optimizer: ({ hyper }, { target, settings }) => hyper.adjust(target, settings),
  emergency: ({ emergency }, { level }) => emergency(level),
  rollback: ({ rollBack }, { source, reason }) => rollBack(source, reason),
  reset: ({ model, hyper }, { scope, seedIds }) => {
    if (scope === "teacher") model.removeTeacher();
    for (const id of seedIds) {
      model.removeSeed(id);
      hyper.remove(id);
    }
  },
};

/** Carries out one change. */
export function carryOut(target: ChangeTarget, change: StructuralChange): void | Promise<void> {
  const carry = CARRY[change.kind] as Carry<StructuralChange["kind"]>;
  return carry(target, change);
}
