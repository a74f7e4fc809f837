/** What a policy is: it sees the system's state and decides; it changes nothing itself. */
import type { BlendConfig, Stage, SystemState } from "../contracts/index.js";

export type SeedAdvance =
  | "START_TRAINING"
  | "START_BLENDING"
  | "START_SHADOWING"
  | "START_PROBATION"
  | "FOSSILIZE";

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
      readonly operation: SeedAdvance;
      readonly expectedStage: Stage;
      readonly blend?: BlendConfig;
    })
  | (DecisionBasis & { readonly action: "cull"; readonly seedId: string; readonly expectedStage: Stage });

/** A blueprint with the parameters that a policy would germinate it with. */
export interface Candidate {
  readonly id: string;
  readonly parameters: Readonly<Record<string, number>>;
}

export interface Policy {
  /** Name and version, as decisions carry it. */
  readonly version: string;
  /** What it may germinate, where it knows: kernels of these are prewarmed before the run. */
  readonly candidates?: readonly Candidate[];
  /** Called at every observation, in order of steps. */
  decide(state: SystemState): readonly Decision[];
  /** All that the policy remembers, as JSON; `restore` takes it back. */
  snapshot(): unknown;
  restore(snapshot: unknown): void;
}
