/**
 * The life of a seed as one table: what each stage is, what may follow it, which gate admits to it, which operation asks
 * for it, and what part a seed in it takes in the training step (docs/architecture.md, "Stages and gates"). Every set of
 * stages that the code asks for is derived from it.
 */
import {
  ADVANCING_OPERATIONS,
  type AdvancingOperation,
  type Gate,
  type Operation,
  STAGES,
  type Stage,
} from "./names.js";

/**
 * Where a seed is in its life. Each stage has exactly one.
 *
 * | phase | what it means |
 * | --- | --- |
 * | `absent` | it holds nothing and occupies nothing |
 * | `shadow` | it is computed in parallel with the network, not in the output |
 * | `blended` | it is in the output, and it is still to be decided what becomes of it |
 * | `kept` | it is part of the host for good |
 * | `removed` | it was culled and is not yet reset |
 */
export type StagePhase = "absent" | "shadow" | "blended" | "kept" | "removed";

/**
 * How a seed takes part in the training step. Seeds of every other stage, and paused ones, are not in the topology.
 *
 * | part | in the output | the seed learns | the host below learns |
 * | --- | --- | --- | --- |
 * | `germinated` (its kernel attached) | no | no; its gradient is measured | yes |
 * | `shadow` | no | on its shadow loss | yes |
 * | `blending` | yes | yes | no |
 * | `shadowing` | yes | no | no |
 * | `probationary` | yes | yes | yes |
 * | `grown` | yes | as part of the host | yes |
 */
export type SeedPart = "germinated" | "shadow" | "blending" | "shadowing" | "probationary" | "grown";

/** A gate that is asked about a living seed; G5 is asked by the reset. */
export type LivingGate = Exclude<Gate, "G5_RESET">;

interface StageRow {
  readonly phase: StagePhase;
  /** What may follow; everything else, staying included, is an error. */
  readonly next: readonly Stage[];
  /** The gate that admits to it. */
  readonly gate?: Gate;
  /** The operation that asks for it. */
  readonly operation?: Operation;
  readonly part?: SeedPart;
}

const TABLE: { readonly [S in Stage]: StageRow } = {
  UNKNOWN: { phase: "absent", next: ["DORMANT"] },
  DORMANT: { phase: "absent", next: ["GERMINATED", "TERMINATED"], gate: "G5_RESET" },
  GERMINATED: {
    phase: "shadow",
    next: ["TRAINING", "CULLED"],
    gate: "G0_SANITY",
    operation: "GERMINATE",
    part: "germinated",
  },
  TRAINING: {
    phase: "shadow",
    next: ["BLENDING", "CULLED"],
    gate: "G1_GRADIENT_HEALTH",
    operation: "START_TRAINING",
    part: "shadow",
  },
  BLENDING: {
    phase: "blended",
    next: ["SHADOWING", "CULLED"],
    gate: "G2_STABILITY",
    operation: "START_BLENDING",
    part: "blending",
  },
  SHADOWING: {
    phase: "blended",
    next: ["PROBATIONARY", "CULLED"],
    gate: "G3_INTERFACE",
    operation: "START_SHADOWING",
    part: "shadowing",
  },
  PROBATIONARY: {
    phase: "blended",
    next: ["FOSSILIZED", "CULLED"],
    gate: "G4_SYSTEM_IMPACT",
    operation: "START_PROBATION",
    part: "probationary",
  },
  FOSSILIZED: {
    phase: "kept",
    next: ["TERMINATED"],
    gate: "G4_SYSTEM_IMPACT",
    operation: "FOSSILIZE",
    part: "grown",
  },
  CULLED: { phase: "removed", next: ["EMBARGOED"], operation: "CULL" },
  EMBARGOED: { phase: "removed", next: ["RESETTING"] },
  RESETTING: { phase: "removed", next: ["DORMANT"] },
  TERMINATED: { phase: "absent", next: [] },
};

/** The stages that may follow `stage`. */
export function stagesAfter(stage: Stage): readonly Stage[] {
  return TABLE[stage].next;
}

export function canTransition(from: Stage, to: Stage): boolean {
  return TABLE[from].next.includes(to);
}

/** Whether a seed in this stage can be culled: it holds parameters of its own. */
export function canCull(stage: Stage): boolean {
  return canTransition(stage, "CULLED");
}

/** Whether a seed in this stage exists: it is somewhere between germination and the end of its reset. */
export function isLiving(stage: Stage): boolean {
  return TABLE[stage].phase !== "absent";
}

/** Whether the seed is computed in parallel with the network and is not in its output. */
export function isInShadow(stage: Stage): boolean {
  return TABLE[stage].phase === "shadow";
}

/** Whether the seed is blended into its slot and can be culled out of it. */
export function isBlended(stage: Stage): boolean {
  return TABLE[stage].phase === "blended";
}

/** Whether the seed is in the network's output: blended, or kept. */
export function isInOutput(stage: Stage): boolean {
  return isBlended(stage) || TABLE[stage].phase === "kept";
}

/** Whether it is still to be decided what becomes of the seed. */
export function isGrowing(stage: Stage): boolean {
  return isInShadow(stage) || isBlended(stage);
}

/** Whether the seed holds parameters, or is about to. */
export function holdsParameters(stage: Stage): boolean {
  return isGrowing(stage) || TABLE[stage].phase === "kept";
}

/** Whether the seed was culled and is not yet reset. */
export function isRemoved(stage: Stage): boolean {
  return TABLE[stage].phase === "removed";
}

/** The part that an attached, running seed of this stage takes in the step; undefined: none. */
export function partOf(stage: Stage): SeedPart | undefined {
  return TABLE[stage].part;
}

/** An operation that moves a seed one gate further. */
export interface Advance {
  readonly operation: AdvancingOperation;
  readonly from: Stage;
  readonly to: Stage;
  readonly gate: LivingGate;
}

function isAdvancing(operation: Operation | undefined): operation is AdvancingOperation {
  return ADVANCING_OPERATIONS.some((advancing) => advancing === operation);
}

/** By operation, in the order of a seed's life. One operation, one gate; nothing runs several gates in one go. */
export const ADVANCES = Object.fromEntries(
  STAGES.flatMap((from) =>
    stagesAfter(from).flatMap((to): [AdvancingOperation, Advance][] => {
      const { operation } = TABLE[to];
      const gate = gateOf(to);
      return isAdvancing(operation) && gate ? [[operation, { operation, from, to, gate }]] : [];
    }),
  ),
) as { readonly [O in AdvancingOperation]: Advance };

/** What moves a seed on from this stage; undefined where nothing does. */
export function advanceFrom(stage: Stage): Advance | undefined {
  return Object.values(ADVANCES).find(({ from }) => from === stage);
}

/** The gate that a seed passed to be in a stage, which a resume asks again; undefined where there is none. */
export function gateOf(stage: Stage): LivingGate | undefined {
  const { gate } = TABLE[stage];
  return isLivingGate(gate) ? gate : undefined;
}

function isLivingGate(gate: Gate | undefined): gate is LivingGate {
  return gate !== undefined && gate !== "G5_RESET";
}

/** The stages from GERMINATED to FOSSILIZED: those of a seed with which all goes well, in order. */
export const GROWTH_PATH: readonly Stage[] = STAGES.filter(holdsParameters);
