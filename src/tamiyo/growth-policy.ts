/**
 * What all policies that come with Kasmina share: they watch each growing seed, keep to budgets and embargoes, do nothing
 * but cull while inputs are degraded, and germinate one seed at a time. What differs is when, what and where to
 * germinate, which is a {@link Strategy}, and how a seed is judged.
 */
import { KasminaError } from "../base/index.js";
import {
  type Estimate,
  isGrowing,
  isInShadow,
  type SeedState,
  type SystemState,
} from "../contracts/index.js";
import { type Budget, checkAmount, overBudget } from "./budget.js";
import { germination, rampFor } from "./decisions.js";
import { pooled } from "./evidence.js";
import { inspectInputs } from "./inputs.js";
import type { SeedJudge } from "./judge.js";
import type { Arm, ArmCost, Candidate, Decision, DecisionContext, GrowthCosts, Policy } from "./policy.js";
import { isFree, noted, type SeedNotes } from "./seed-notes.js";

export interface GrowthPolicyOptions {
  /** Blueprints to choose from, with their parameters; at least one. */
  readonly blueprints: readonly Candidate[];
  /** Slots to use; default: all. */
  readonly slots?: readonly string[];
  /** Seeds germinated in one run, at most. Default 2. */
  readonly maxSeeds?: number;
  /** No seed germinates in this last fraction of the run, where it could not finish. Default 0.45. */
  readonly tail?: number;
  /** What growth may cost. Default: no limit. */
  readonly budget?: Budget;
}

/** When, what and where to germinate. */
export interface Strategy {
  /** Name and version of the policy. */
  readonly version: string;
  readonly judge: SeedJudge;
  /** Sees every observation, before anything is decided on it. */
  watch?(state: SystemState): void;
  /** Why to germinate now; undefined where it is not the time. `germinated` counts the seeds so far. */
  reason(state: SystemState, germinated: number): string | undefined;
  /** The arms that are open, the one to be tried first in front. */
  rank(arms: readonly Arm[], germinated: number): readonly Arm[];
  /** Receives which arm was taken. */
  germinated?(arm: Arm): void;
  /** Receives the shadow gain that a seed reached in training, and its part of a step's FLOPs and of the parameters. */
  learn?(trial: Trial): void;
  snapshot(): unknown;
  restore(snapshot: unknown): void;
}

/** What came of a seed that was tried. */
export interface Trial {
  readonly arm: Arm;
  readonly gain: Estimate;
  /** Its part in the FLOPs of a training step and in the parameters, relative to the host's; undefined where unknown. */
  readonly flopShare: number | undefined;
  readonly parameterShare: number | undefined;
}

interface Memory {
  /** Observations so far. */
  observations: number;
  germinated: number;
  readonly seeds: Record<string, SeedNotes>;
  /** Seeds whose training is not over, by id: what they were germinated as. */
  readonly trials: Record<string, Omit<Trial, "gain">>;
}

const DEFAULTS = { maxSeeds: 2, tail: 0.45, budget: {} };

export class GrowthPolicy implements Policy {
  readonly version: string;
  readonly #options: GrowthPolicyOptions & typeof DEFAULTS;
  readonly #strategy: Strategy;
  #memory: Memory = { observations: 0, germinated: 0, seeds: {}, trials: {} };

  /** @throws KasminaError `invalid_argument` without a blueprint, or for a budget that is no amount */
  constructor(options: GrowthPolicyOptions, strategy: Strategy) {
    if (options.blueprints.length === 0)
      throw new KasminaError("invalid_argument", "the policy needs at least one blueprint");
    for (const [name, amount] of Object.entries(options.budget ?? {})) checkAmount(`budget.${name}`, amount);
    this.#options = { ...DEFAULTS, ...options };
    this.#strategy = strategy;
    this.version = strategy.version;
  }

  get candidates(): readonly Candidate[] {
    return this.#options.blueprints;
  }

  decide(state: SystemState, context: DecisionContext = {}): readonly Decision[] {
    const { health = inspectInputs(state), costs } = context;
    const growing = state.seeds.filter(({ stage }) => isGrowing(stage));
    this.#strategy.watch?.(state);
    this.#memory.observations++;
    this.#takeNotes(growing);
    const decisions = growing.flatMap((seed) => this.#judge(seed)).map((one) => this.#paced(one, state));
    const allowed =
      health.missing.length > 0 ? decisions.filter(({ action }) => action === "cull") : decisions;
    for (const { seedId } of allowed) this.#markAsked(seedId);
    if (growing.length > 0 || health.missing.length > 0) return allowed;
    return this.#germinate(state, costs);
  }

  snapshot(): unknown {
    return structuredClone({ ...this.#memory, strategy: this.#strategy.snapshot() });
  }

  restore(snapshot: unknown): void {
    const { strategy, ...memory } = structuredClone(snapshot) as Memory & { strategy: unknown };
    this.#memory = memory;
    this.#strategy.restore(strategy);
  }

  /** Seeds that are gone are forgotten, and what they were worth is learnt. */
  #takeNotes(growing: readonly SeedState[]): void {
    const { seeds, trials } = this.#memory;
    for (const seed of growing) seeds[seed.id] = noted(seeds[seed.id], seed);
    for (const [id, trial] of Object.entries(trials)) {
      const notes = seeds[id];
      const present = growing.find((seed) => seed.id === id);
      if (!notes || (present && isInShadow(present.stage))) continue;
      this.#strategy.learn?.({ ...trial, gain: pooled(notes.gains.slice(-1)) });
      delete trials[id];
    }
    for (const id of Object.keys(seeds)) if (!growing.some((seed) => seed.id === id)) delete seeds[id];
  }

  #judge(seed: SeedState): readonly Decision[] {
    const notes = this.#memory.seeds[seed.id];
    if (!notes || !isFree(seed, notes)) return [];
    const decision = this.#strategy.judge.judge(seed, notes);
    return decision ? [decision] : [];
  }

  #paced(decision: Decision, { step }: SystemState): Decision {
    if (decision.action !== "advance" || !decision.blend) return decision;
    return { ...decision, blend: { ...decision.blend, schedule: rampFor(step / this.#memory.observations) } };
  }

  #markAsked(seedId: string): void {
    const notes = this.#memory.seeds[seedId];
    if (notes) this.#memory.seeds[seedId] = { ...notes, askedAt: notes.observations };
  }

  #germinate(state: SystemState, costs: GrowthCosts | undefined): readonly Decision[] {
    const { maxSeeds, tail, budget } = this.#options;
    const { germinated } = this.#memory;
    if (germinated >= maxSeeds || state.epoch >= state.epochs * (1 - tail)) return [];
    const why = this.#strategy.reason(state, germinated);
    if (why === undefined) return [];
    const arms = this.#strategy.rank(this.#openArms(state), germinated);
    const { maxTraining } = this.#strategy.judge;
    for (const arm of arms) {
      const cost = costs?.of(arm, state, maxTraining);
      if (costs && !cost) continue; // the blueprint does not fit the slot
      if (overBudget(budget, state, cost, costs) === undefined)
        return [this.#germinationOf(state, arm, cost, why)];
    }
    return [];
  }

  #germinationOf({ paramsHost }: SystemState, arm: Arm, cost: ArmCost | undefined, why: string): Decision {
    const seedId = `seed-${this.#memory.germinated + 1}`;
    this.#memory.germinated++;
    this.#memory.trials[seedId] = {
      arm,
      flopShare: cost?.stepShare,
      parameterShare: cost && cost.parameters / paramsHost,
    };
    this.#strategy.germinated?.(arm);
    return germination(seedId, arm, why);
  }

  /** Candidates that are not under embargo, in slots that are not, by candidate and then by slot. */
  #openArms(state: SystemState): readonly Arm[] {
    const { slots: wanted, blueprints } = this.#options;
    const slots = state.slots.filter(
      ({ id, closedUntilStep }) => closedUntilStep === undefined && (!wanted || wanted.includes(id)),
    );
    const open = blueprints.filter(({ id }) => state.closedBlueprints[id] === undefined);
    return open.flatMap((candidate) => slots.map(({ id }) => ({ slotId: id, candidate })));
  }
}
