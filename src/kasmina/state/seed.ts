/** A seed: one kernel living in one slot of one run, with its stage, its blend and what the gates know about it. */
import type { BlendConfig } from "../../contracts/blend.js";
import { DEFAULT_BLEND } from "../../contracts/blend.js";
import type { Stage } from "../../contracts/names.js";
import type { Estimate, Kernel } from "../../contracts/ports.js";

/** What gates read. Written by measurements alone, never by telemetry. */
export interface SeedStats {
  /** Norms of the seed's gradient, the newest last; at most `gates.windowSteps`. */
  readonly gradientNorms: readonly number[];
  /** The seed's own (shadow) losses, the newest last; at most `gates.windowSteps`. */
  readonly losses: readonly number[];
  /** Of the last evaluation: held-out host loss − held-out shadow loss. */
  readonly shadowGain?: Estimate;
  /** Of the last evaluation: held-out loss without the seed − with it. */
  readonly contribution?: Estimate;
  /** The stage in which the last evaluation found the seed. A gate that admits further wants one of this stage. */
  readonly evaluatedIn?: Stage;
  readonly isolationViolations: number;
  /**
   * The seed's share of a training step's FLOPs, were it kept, as counted when the topology was installed last. Left out
   * where nobody counted: without a budget for it there is no need.
   */
  readonly stepShare?: number;
}

/** A kernel without its weights, which are the engine's once it is attached. */
export type KernelFacts = Omit<Kernel, "tensors">;

export interface Seed {
  readonly id: string;
  readonly slotId: string;
  readonly blueprintId: string;
  readonly parameters: Readonly<Record<string, number>>;
  readonly stage: Stage;
  /** Set while the seed is paused: the stage it is paused in. Its weights and optimizer state are kept. */
  readonly pausedFrom?: Stage;
  readonly blend: BlendConfig;
  /** Logits of the policy's latest decision are in `blend.confidenceLogits`. */
  readonly rampStartStep?: number;
  /** Set while the ramp stands still (pause, freeze): the step at which it stopped. */
  readonly rampHeldAtStep?: number;
  /** Set from the step on at which the kernel is attached. */
  readonly kernel?: KernelFacts;
  /** Seeds of a slot run in this order. */
  readonly germinationOrder: number;
  readonly germinatedAtStep: number;
  /** Set where the run began with it: it is part of what the run calls its host. */
  readonly inherited?: true;
  /** Set from a cull until the reset: the step at which the embargo ends. */
  readonly embargoUntilStep?: number;
  readonly stats: SeedStats;
}

/** For this room alone. */
export type MutableSeed = {
  -readonly [K in keyof Seed]: Seed[K];
};

export interface SeedOrigin {
  readonly id: string;
  readonly slotId: string;
  readonly blueprintId: string;
  readonly parameters: Readonly<Record<string, number>>;
  readonly germinationOrder: number;
  readonly germinatedAtStep: number;
}

export const NO_STATS: SeedStats = {
  gradientNorms: [],
  losses: [],
  isolationViolations: 0,
};

/** A new seed, DORMANT. */
export function newSeed(origin: SeedOrigin): MutableSeed {
  return { ...origin, stage: "DORMANT", blend: DEFAULT_BLEND, stats: NO_STATS };
}

/** Optimizer steps that the seed's alpha ramp has run at `step`; 0 before it starts. */
export function alphaSteps(seed: Seed, step: number): number {
  if (seed.rampStartStep === undefined) return 0;
  return Math.max(0, (seed.rampHeldAtStep ?? step) - seed.rampStartStep);
}

/** Whether alpha has arrived at its target. */
export function isRampDone(seed: Seed, step: number): boolean {
  return seed.rampStartStep !== undefined && alphaSteps(seed, step) >= seed.blend.schedule.steps;
}

/** Makes alpha stand still from `step` on. Doing it twice is doing it once. */
export function holdRamp(seed: MutableSeed, step: number): void {
  if (seed.rampStartStep !== undefined) seed.rampHeldAtStep ??= step;
}

/** Lets alpha go on from where it stood. */
export function releaseRamp(seed: MutableSeed, step: number): void {
  if (seed.rampStartStep === undefined || seed.rampHeldAtStep === undefined) return;
  seed.rampStartStep += Math.max(0, step - seed.rampHeldAtStep);
  delete seed.rampHeldAtStep;
}

/** The windows start anew with every stage, because what they measure changes with it; estimates stay to be seen. */
export function startStage(seed: MutableSeed): void {
  seed.stats = { ...seed.stats, gradientNorms: [], losses: [] };
}

/** `window` with `value` at its end, at most `length` long. */
export function pushed(window: readonly number[], value: number, length: number): readonly number[] {
  return window.length < length ? [...window, value] : [...window.slice(1 - length), value];
}
