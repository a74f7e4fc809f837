/**
 * What was decided and is not in effect yet. A change that alters the program takes effect a fixed number of steps
 * after it was accepted, whatever the machine was doing in between (docs/architecture.md, "Determinism"); one that
 * alters values alone takes effect at the boundary it was accepted at.
 */
import type { BlendConfig } from "../../contracts/blend.js";
import type { EmergencyLevel, ResetScope, RollbackSource, Stage } from "../../contracts/names.js";
import type { Kernel, KernelRequest } from "../../contracts/ports.js";
import type { Seed } from "./seed.js";

/** New values of an optimizer group; what is left out stays as it is. */
export interface OptimizerSettings {
  readonly learningRate?: number;
  readonly momentum?: number;
  readonly weightDecay?: number;
}

/** What is to happen, as plain data that a checkpoint can hold. */
export type Intent =
  | { readonly kind: "attach"; readonly request: KernelRequest }
  | { readonly kind: "stage"; readonly to: Stage; readonly blend?: BlendConfig }
  | { readonly kind: "remove"; readonly cause: string }
  | { readonly kind: "pause" }
  | { readonly kind: "resume" }
  | { readonly kind: "blend"; readonly blend: BlendConfig }
  | { readonly kind: "optimizer"; readonly target: string; readonly settings: OptimizerSettings }
  | { readonly kind: "emergency"; readonly level: EmergencyLevel; readonly reason: string }
  | { readonly kind: "rollback"; readonly source: RollbackSource; readonly reason: string }
  | { readonly kind: "reset"; readonly scope: ResetScope };

export interface PlannedChange {
  /** Order of acceptance. */
  readonly sequence: number;
  readonly effectiveStep: number;
  /** Left out: the run itself. */
  readonly seedId?: string;
  readonly intent: Intent;
}

/** What has just taken effect, for the trainer to carry out before its next step. */
export type StructuralChange =
  | { readonly kind: "attach"; readonly seed: Seed; readonly kernel: Kernel }
  | { readonly kind: "stage"; readonly seed: Seed; readonly from: Stage; readonly to: Stage }
  /** The seed's parameters, optimizer entries and program inputs must go; a paused seed's too. */
  | { readonly kind: "remove"; readonly seedId: string; readonly seed: Seed; readonly cause: string }
  | { readonly kind: "pause"; readonly seed: Seed }
  | { readonly kind: "resume"; readonly seed: Seed }
  /** Values alone: `seed.blend` is new. */
  | { readonly kind: "blend"; readonly seed: Seed }
  /** `target` is `host` or a seed's id. */
  | { readonly kind: "optimizer"; readonly target: string; readonly settings: OptimizerSettings }
  | { readonly kind: "emergency"; readonly level: EmergencyLevel; readonly reason: string }
  | { readonly kind: "rollback"; readonly source: RollbackSource; readonly reason: string }
  /** Every seed of `seedIds` must go, the kernel cache and, for `teacher`, the teacher too. */
  | { readonly kind: "reset"; readonly scope: ResetScope; readonly seedIds: readonly string[] };

export class ChangePlan {
  #changes: PlannedChange[] = [];
  #sequence = 0;

  /** In the order they take effect. */
  get all(): readonly PlannedChange[] {
    return this.#changes;
  }

  add(effectiveStep: number, intent: Intent, seedId?: string): PlannedChange {
    const sequence = ++this.#sequence;
    const change = { sequence, effectiveStep, intent, ...(seedId !== undefined && { seedId }) };
    // Sequences rise, so the new change stands after all that take effect no later.
    const after = this.#changes.findLastIndex((other) => other.effectiveStep <= effectiveStep);
    this.#changes.splice(after + 1, 0, change);
    return change;
  }

  /** A seed has one at most. */
  ofSeed(seedId: string): PlannedChange | undefined {
    return this.#changes.find((change) => change.seedId === seedId);
  }

  /** Takes back a seed's pending change. */
  cancel(seedId: string): PlannedChange | undefined {
    const change = this.ofSeed(seedId);
    if (change) this.#changes = this.#changes.filter((other) => other !== change);
    return change;
  }

  clear(): void {
    this.#changes = [];
  }

  /** The next change that is due at `step`. */
  due(step: number): PlannedChange | undefined {
    const [first] = this.#changes;
    return first && first.effectiveStep <= step ? first : undefined;
  }

  /** Takes out a change that is now in effect. */
  take(change: PlannedChange): void {
    this.#changes = this.#changes.filter((other) => other !== change);
  }

  snapshot(): PlanSnapshot {
    return { sequence: this.#sequence, changes: [...this.#changes] };
  }

  restore(snapshot: PlanSnapshot): void {
    this.#sequence = snapshot.sequence;
    this.#changes = [...snapshot.changes];
  }
}

export interface PlanSnapshot {
  readonly sequence: number;
  readonly changes: readonly PlannedChange[];
}
