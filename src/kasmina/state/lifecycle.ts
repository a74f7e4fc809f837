/** The life of a seed: which stage may follow which (DESIGN §7), and the gate that guards each way in. */
import { KasminaError } from "../../base/errors.js";
import type { Gate, Operation, Stage } from "../../contracts/names.js";

/** What may follow a stage; everything else, staying included, is an error. */
export const TRANSITIONS: { readonly [S in Stage]: readonly Stage[] } = {
  UNKNOWN: ["DORMANT"],
  DORMANT: ["GERMINATED", "TERMINATED"],
  GERMINATED: ["TRAINING", "CULLED"],
  TRAINING: ["BLENDING", "CULLED"],
  BLENDING: ["SHADOWING", "CULLED"],
  SHADOWING: ["PROBATIONARY", "CULLED"],
  PROBATIONARY: ["FOSSILIZED", "CULLED"],
  FOSSILIZED: ["TERMINATED"],
  CULLED: ["EMBARGOED"],
  EMBARGOED: ["RESETTING"],
  RESETTING: ["DORMANT"],
  TERMINATED: [],
};

export function canTransition(from: Stage, to: Stage): boolean {
  return TRANSITIONS[from].includes(to);
}

/**
 * The new stage.
 * @throws KasminaError `illegal_state` where the lifecycle does not know this step
 */
export function transition(from: Stage, to: Stage): Stage {
  if (!canTransition(from, to)) {
    const allowed = TRANSITIONS[from].join(" or ") || "nothing";
    throw new KasminaError("illegal_state", `a seed cannot go from ${from} to ${to}: ${allowed} may follow`, {
      details: { from, to },
    });
  }
  return to;
}

/** An operation that moves a seed one gate further. */
export interface Advance {
  readonly from: Stage;
  readonly to: Stage;
  readonly gate: Gate;
}

export type AdvancingOperation = Extract<
  Operation,
  "START_TRAINING" | "START_BLENDING" | "START_SHADOWING" | "START_PROBATION" | "FOSSILIZE"
>;

/** One operation, one gate; nothing runs several gates in one go. */
export const ADVANCES: { readonly [O in AdvancingOperation]: Advance } = {
  START_TRAINING: { from: "GERMINATED", to: "TRAINING", gate: "G1_GRADIENT_HEALTH" },
  START_BLENDING: { from: "TRAINING", to: "BLENDING", gate: "G2_STABILITY" },
  START_SHADOWING: { from: "BLENDING", to: "SHADOWING", gate: "G3_INTERFACE" },
  START_PROBATION: { from: "SHADOWING", to: "PROBATIONARY", gate: "G4_SYSTEM_IMPACT" },
  FOSSILIZE: { from: "PROBATIONARY", to: "FOSSILIZED", gate: "G4_SYSTEM_IMPACT" },
};

/** The gate that a seed passed to be in a stage, which a resume asks again; undefined where there is none. */
export function gateOf(stage: Stage): Gate | undefined {
  if (stage === "GERMINATED") return "G0_SANITY";
  return Object.values(ADVANCES).find((advance) => advance.to === stage)?.gate;
}

/** Stages in which a seed can be culled. */
export function canCull(stage: Stage): boolean {
  return canTransition(stage, "CULLED");
}

const IN_OUTPUT: readonly Stage[] = ["BLENDING", "SHADOWING", "PROBATIONARY"];

/** Whether a seed in this stage is blended into its slot and can be culled out of it. */
export function isBlended(stage: Stage): boolean {
  return IN_OUTPUT.includes(stage);
}
