/** What a policy is: it sees the system's state and decides; it changes nothing itself. */
import type { AdvancingOperation, BlendConfig, Stage, SystemState } from "../contracts/index.js";
import type { InputHealth } from "./inputs.js";

interface DecisionBasis {
  /** One line for the run's log: what was seen, and why this follows. */
  readonly why: string;
  /** How sure the policy is of each of its options, the chosen one first; natural-log odds. */
  readonly logits: readonly number[];
}

export type Decision =
  | (DecisionBasis & {
      readonly action: "germinate";
      readonly seedId: string;
      readonly slotId: string;
      readonly blueprintId: string;
      readonly parameters: Readonly<Record<string, number>>;
    })
  | (DecisionBasis & {
      readonly action: "advance";
      readonly seedId: string;
      readonly operation: AdvancingOperation;
      readonly expectedStage: Stage;
      readonly blend?: BlendConfig;
    })
  | (DecisionBasis & { readonly action: "cull"; readonly seedId: string; readonly expectedStage: Stage });

/** A blueprint with the parameters that a policy would germinate it with. */
export interface Candidate {
  readonly id: string;
  readonly parameters: Readonly<Record<string, number>>;
}

/** A candidate in a slot. */
export interface Arm {
  readonly slotId: string;
  readonly candidate: Candidate;
}

/** What an arm would cost if it were germinated now. */
export interface ArmCost {
  /** Scalars of its weights. */
  readonly parameters: number;
  /** At most this many FLOPs until the end of the run, over those of the host alone, with all that is grown by now. */
  readonly flopsToTheEnd: number;
  /** Its part in a training step once it is blended, relative to the host's step. */
  readonly stepShare: number;
}

/** What growth costs in a run. */
export interface GrowthCosts {
  /** FLOPs that the host alone costs until `step`, evaluations included; to the end for any later one. */
  hostFlops(step: number): number;
  /**
   * Undefined where the blueprint does not fit the slot.
   * @param maxTraining observations that the seed trains in the shadow, at most
   */
  of(arm: Arm, state: SystemState, maxTraining: number): ArmCost | undefined;
}

/** What a policy is given in addition to the state. */
export interface DecisionContext {
  /** Default: judged from the state alone. */
  readonly health?: InputHealth;
  /** Left out where nobody counts: then a budget allows nothing. */
  readonly costs?: GrowthCosts;
}

/**
 * Every policy gives at most one decision a seed at a time, germinates nothing that is under embargo or over its budget,
 * and, where `health` misses anything, does nothing but cull.
 */
export interface Policy {
  /** Name and version, as decisions carry it. */
  readonly version: string;
  /** What it may germinate, where it knows: kernels of these are prewarmed before the run. */
  readonly candidates?: readonly Candidate[];
  /** Called at every observation, in order of steps. */
  decide(state: SystemState, context?: DecisionContext): readonly Decision[];
  /** All that the policy remembers, as JSON; `restore` takes it back. */
  snapshot(): unknown;
  restore(snapshot: unknown): void;
}
