/**
 * The policy that a run has by default: it waits until the host's held-out loss flattens (or a set epoch), germinates
 * one seed at a time, moves it on as its measured shadow gain and counterfactual allow, and culls what does not help.
 */
import { KasminaError } from "../base/index.js";
import { DEFAULT_BLEND, type Estimate, type SeedState, type SystemState } from "../contracts/index.js";
import type { Candidate, Decision, Policy, SeedAdvance } from "./policy.js";

export interface PlateauPolicyOptions {
  /** Blueprints to try, in turn, with their parameters; at least one. */
  readonly blueprints: readonly Candidate[];
  /** Slots to use, in turn; default: all. */
  readonly slots?: readonly string[];
  /** Seeds germinated in one run, at most. Default 2. */
  readonly maxSeeds?: number;
  /** Germinate first at this epoch (from 0), whatever the loss does; else at a plateau. */
  readonly germinateAtEpoch?: number;
  /** Observations that a plateau is judged on. Default 4. */
  readonly plateauWindow?: number;
  /** A relative fall of the held-out loss over the window that is less than this is a plateau. Default 0.15. */
  readonly plateauImprovement?: number;
  /** Observations a seed trains at least, and at most, before it is judged. Defaults 8 and 16. */
  readonly minTraining?: number;
  readonly maxTraining?: number;
  /** Standard errors by which a gain must clear zero. Default 2. */
  readonly confidence?: number;
  /** Observations in SHADOWING and in PROBATIONARY before a seed is judged. Defaults 2 and 3. */
  readonly minShadowing?: number;
  readonly minProbation?: number;
  /** No seed germinates in this last fraction of the run, where it could not finish. Default 0.45. */
  readonly tail?: number;
}

interface Memory {
  readonly losses: number[];
  germinated: number;
  /** By seed id: observations in its present stage, and its shadow gains in TRAINING. */
  readonly seeds: Record<string, { stage: string; observations: number; gains: number[] }>;
}

type Complete = Required<Omit<PlateauPolicyOptions, "slots" | "germinateAtEpoch">> & PlateauPolicyOptions;

const DEFAULTS = {
  maxSeeds: 2,
  plateauWindow: 4,
  plateauImprovement: 0.15,
  minTraining: 8,
  maxTraining: 16,
  confidence: 2,
  minShadowing: 2,
  minProbation: 3,
  tail: 0.45,
};

const LIVING = new Set(["GERMINATED", "TRAINING", "BLENDING", "SHADOWING", "PROBATIONARY"]);

export class PlateauPolicy implements Policy {
  readonly version = "plateau-1";
  readonly #options: Complete;
  #memory: Memory = { losses: [], germinated: 0, seeds: {} };

  constructor(options: PlateauPolicyOptions) {
    if (options.blueprints.length === 0) {
      throw new KasminaError("invalid_argument", "the policy needs at least one blueprint");
    }
    this.#options = { ...DEFAULTS, ...options };
  }

  get candidates(): readonly Candidate[] {
    return this.#options.blueprints;
  }

  decide(state: SystemState): readonly Decision[] {
    const living = state.seeds.filter((seed) => LIVING.has(seed.stage));
    if (state.heldOutLoss) this.#memory.losses.push(state.heldOutLoss.value);
    for (const seed of living) this.#observe(seed);
    const decisions = living.flatMap((seed) => (seed.pending || seed.pausedFrom ? [] : this.#judge(seed)));
    return living.length > 0 ? decisions : this.#germination(state);
  }

  snapshot(): unknown {
    return structuredClone(this.#memory);
  }

  restore(snapshot: unknown): void {
    this.#memory = structuredClone(snapshot) as Memory;
  }

  #observe(seed: SeedState): void {
    const known = this.#memory.seeds[seed.id];
    const entry =
      known?.stage === seed.stage ? known : { stage: seed.stage, observations: 0, gains: known?.gains ?? [] };
    entry.observations++;
    if (seed.stage === "TRAINING" && seed.shadowGain) entry.gains.push(seed.shadowGain.value);
    this.#memory.seeds[seed.id] = entry;
  }

  #germination(state: SystemState): readonly Decision[] {
    const { maxSeeds, tail, blueprints } = this.#options;
    const index = this.#memory.germinated;
    if (index >= maxSeeds || state.epoch >= state.epochs * (1 - tail)) return [];
    const why = this.#reasonToGrow(state);
    const slot = this.#openSlots(state)[index % Math.max(1, this.#openSlots(state).length)];
    const blueprint = blueprints[index % blueprints.length];
    if (!why || !slot || !blueprint || state.closedBlueprints[blueprint.id] !== undefined) return [];
    this.#memory.germinated++;
    this.#memory.losses.length = 0;
    return [
      {
        action: "germinate",
        seedId: `seed-${index + 1}`,
        slotId: slot,
        blueprintId: blueprint.id,
        parameters: blueprint.parameters,
        why: `germinate ${blueprint.id} in ${slot}: ${why}`,
        logits: [1, 0],
      },
    ];
  }

  #openSlots(state: SystemState): readonly string[] {
    const wanted = this.#options.slots;
    return state.slots
      .filter((slot) => slot.closedUntilStep === undefined && (!wanted || wanted.includes(slot.id)))
      .map((slot) => slot.id);
  }

  #reasonToGrow(state: SystemState): string | undefined {
    const { germinateAtEpoch, plateauWindow, plateauImprovement } = this.#options;
    if (germinateAtEpoch !== undefined) {
      return state.epoch >= germinateAtEpoch ? `epoch ${state.epoch} has come` : undefined;
    }
    const window = this.#memory.losses.slice(-plateauWindow);
    const [first = 0] = window;
    const last = window.at(-1) ?? 0;
    if (window.length < plateauWindow) return undefined;
    const improvement = (first - last) / Math.abs(first);
    if (!(improvement < plateauImprovement)) return undefined;
    return `held-out loss ${first.toFixed(4)} → ${last.toFixed(4)} over ${plateauWindow} observations, a fall under ${plateauImprovement * 100} %`;
  }

  #judge(seed: SeedState): readonly Decision[] {
    switch (seed.stage) {
      case "GERMINATED":
        return [this.#advance(seed, "START_TRAINING", "its kernel is attached", [1, 0])];
      case "TRAINING":
        return this.#judgeTraining(seed);
      case "BLENDING":
        return this.#afterRamp(seed);
      case "SHADOWING":
        return this.#judgeContribution(seed, "START_PROBATION", this.#options.minShadowing);
      case "PROBATIONARY":
        return this.#judgeContribution(seed, "FOSSILIZE", this.#options.minProbation);
      default:
        return [];
    }
  }

  #judgeTraining(seed: SeedState): readonly Decision[] {
    const { minTraining, maxTraining } = this.#options;
    const { observations = 0, gains = [] } = this.#memory.seeds[seed.id] ?? {};
    if (observations < minTraining || !seed.shadowGain) return [];
    const helps = this.#isClear(seed.shadowGain);
    const flattening = (gains.at(-1) ?? 0) < 1.1 * (gains.at(-3) ?? Number.POSITIVE_INFINITY);
    if (helps && (flattening || observations >= maxTraining)) {
      const logits = this.#logitsOf(seed.shadowGain);
      const blend = { ...DEFAULT_BLEND, confidenceLogits: logits };
      return [
        {
          ...this.#advance(seed, "START_BLENDING", `shadow gain ${describe(seed.shadowGain)}`, logits),
          blend,
        },
      ];
    }
    return observations >= maxTraining
      ? [this.#cull(seed, `no shadow gain: ${describe(seed.shadowGain)}`)]
      : [];
  }

  #afterRamp(seed: SeedState): readonly Decision[] {
    const { observations = 0 } = this.#memory.seeds[seed.id] ?? {};
    return seed.rampDone && observations > 0
      ? [this.#advance(seed, "START_SHADOWING", `alpha is at ${seed.alpha}`, [1, 0])]
      : [];
  }

  #judgeContribution(seed: SeedState, operation: SeedAdvance, minObservations: number): readonly Decision[] {
    const { observations = 0 } = this.#memory.seeds[seed.id] ?? {};
    if (observations < minObservations || !seed.contribution) return [];
    const said = `contribution ${describe(seed.contribution)}`;
    if (!this.#isClear(seed.contribution)) return [this.#cull(seed, `${said} is not clear of 0`)];
    return [this.#advance(seed, operation, said, this.#logitsOf(seed.contribution))];
  }

  #isClear({ value, stdErr }: Estimate): boolean {
    return value > this.#options.confidence * stdErr;
  }

  /** Options: go on, or not. The odds are those of the measured effect: its distance from zero in standard errors. */
  #logitsOf({ value, stdErr }: Estimate): readonly number[] {
    const z = value / Math.max(stdErr, Number.EPSILON);
    const bounded = Math.max(-10, Math.min(10, z));
    return [bounded, -bounded];
  }

  #advance(seed: SeedState, operation: SeedAdvance, why: string, logits: readonly number[]) {
    return {
      action: "advance",
      seedId: seed.id,
      operation,
      expectedStage: seed.stage,
      why: `${seed.id} ${operation}: ${why}`,
      logits,
    } as const;
  }

  #cull(seed: SeedState, why: string): Decision {
    return {
      action: "cull",
      seedId: seed.id,
      expectedStage: seed.stage,
      why: `${seed.id} CULL: ${why}`,
      logits: [1, 0],
    };
  }
}

function describe({ value, stdErr }: Estimate): string {
  return `${value.toFixed(5)} ± ${stdErr.toFixed(5)}`;
}
