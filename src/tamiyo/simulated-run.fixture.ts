/** A run without arithmetic, for tests of policies: seeds obey, gates and gains are drawn at random, costs are counted. */
import { Random } from "../base/index.js";
import { ADVANCES, type Estimate, type SeedState, type Stage, type SystemState } from "../contracts/index.js";
import { inspectInputs } from "./inputs.js";
import type { Arm, ArmCost, Decision, GrowthCosts, Policy } from "./policy.js";

export const BLUEPRINTS = [
  { id: "small", parameters: {} },
  { id: "large", parameters: { hidden: 4 } },
];
const SCALARS: Readonly<Record<string, number>> = { small: 10, large: 60 };
const HOST_SCALARS = 100;
const HOST_STEP = 1_000;
const EPOCHS = 10;
const OBSERVATIONS_PER_EPOCH = 10;
const STEPS_PER_OBSERVATION = 20;
const STEPS = EPOCHS * OBSERVATIONS_PER_EPOCH * STEPS_PER_OBSERVATION;
const EMBARGO_STEPS = 300;

interface SimulatedSeed {
  readonly id: string;
  readonly arm: Arm;
  stage: Stage;
  readonly worth: number;
}

export interface Happened {
  readonly state: SystemState;
  readonly decisions: readonly Decision[];
  readonly degraded: boolean;
}

export class SimulatedRun {
  readonly #random: Random;
  readonly #seeds: SimulatedSeed[] = [];
  readonly #closed: { readonly slotId: string; readonly id: string; readonly untilStep: number }[] = [];
  #step = 0;
  #flops = 0;

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  readonly costs: GrowthCosts = {
    hostFlops: (step) => HOST_STEP * Math.min(step, STEPS),
    of: (arm, { step }, maxTraining): ArmCost => {
      const kept = this.#seeds.filter(({ stage }) => stage === "FOSSILIZED").map(({ arm: other }) => other);
      const aStep = [...kept, arm].reduce((sum, one) => sum + stepFlops(one), 0);
      const trial = Math.min(STEPS - step, (maxTraining + 3) * STEPS_PER_OBSERVATION);
      return {
        parameters: scalarsOf(arm),
        flopsToTheEnd: aStep * (STEPS - step) + HOST_STEP * trial,
        stepShare: stepFlops(arm) / HOST_STEP,
      };
    },
  };

  get hostFlops(): number {
    return this.costs.hostFlops(Number.POSITIVE_INFINITY);
  }

  get seedFlops(): number {
    return this.#flops - this.costs.hostFlops(this.#step);
  }

  get seedScalars(): number {
    return this.#seeds
      .filter(({ stage }) => stage !== "EMBARGOED")
      .reduce((sum, { arm }) => sum + scalarsOf(arm), 0);
  }

  get step(): number {
    return this.#step;
  }

  get isOver(): boolean {
    return this.#step >= STEPS;
  }

  /** Trains until the next observation, and lets the policy decide. */
  observe(policy: Policy): Happened {
    this.#train();
    const state = this.#state();
    const health = inspectInputs(state);
    const decisions = policy.decide(state, { health, costs: this.costs });
    for (const decision of decisions) this.#obey(decision);
    return { state, decisions, degraded: health.missing.length > 0 };
  }

  #train(): void {
    const growing = this.#seeds.filter(({ stage }) => stage !== "EMBARGOED");
    const extra = growing.reduce((sum, { arm }) => sum + stepFlops(arm), 0);
    const shadow = growing.some(({ stage }) => stage === "TRAINING" || stage === "GERMINATED")
      ? HOST_STEP
      : 0;
    this.#step += STEPS_PER_OBSERVATION;
    this.#flops += STEPS_PER_OBSERVATION * (HOST_STEP + extra + shadow);
  }

  #state(): SystemState {
    const random = this.#random;
    const loss = 1 / (1 + this.#step / 500) + 0.01 * random.normal();
    const missing = random.uniform() < 0.05;
    const closed = this.#closed.filter(({ untilStep }) => untilStep > this.#step);
    return {
      trainingRunId: "run",
      step: this.#step,
      epoch: Math.floor(this.#step / STEPS_PER_OBSERVATION / OBSERVATIONS_PER_EPOCH),
      epochs: EPOCHS,
      trainLoss: missing ? Number.NaN : loss,
      heldOutLoss: { value: loss, stdErr: 0.01 },
      heldOutAccuracy: 0.5,
      seeds: this.#seeds.filter(({ stage }) => stage !== "EMBARGOED").map((seed) => this.#describe(seed)),
      slots: ["a", "b"].map((id) => {
        const untilStep = closed.find(({ slotId }) => slotId === id)?.untilStep;
        return { id, shape: [4], depth: 1, seedIds: [], ...(untilStep && { closedUntilStep: untilStep }) };
      }),
      closedBlueprints: Object.fromEntries(closed.map(({ id, untilStep }) => [id, untilStep])),
      openBreakers: random.uniform() < 0.02 ? ["fetch"] : [],
      paramsHost: HOST_SCALARS,
      paramsTotal: HOST_SCALARS + this.seedScalars,
      flopsPerStep: HOST_STEP,
      flopsTotal: this.#flops,
    };
  }

  #describe({ id, arm, stage, worth }: SimulatedSeed): SeedState {
    const estimate = (): Estimate => ({ value: worth + 0.01 * this.#random.normal(), stdErr: 0.005 });
    return {
      id,
      slotId: arm.slotId,
      blueprintId: arm.candidate.id,
      stage,
      alpha: stage === "TRAINING" || stage === "GERMINATED" ? 0 : 1,
      rampDone: stage !== "TRAINING" && stage !== "GERMINATED",
      shadowGain: estimate(),
      contribution: estimate(),
      parameters: scalarsOf(arm),
    };
  }

  /** A gate refuses now and then, which culls the seed; a kernel may fail to come. */
  #obey(decision: Decision): void {
    if (decision.action === "germinate") {
      const { seedId: id, slotId, blueprintId, parameters } = decision;
      const arm = { slotId, candidate: { id: blueprintId, parameters } };
      this.#seeds.push({ id, arm, stage: "GERMINATED", worth: 0.03 * this.#random.normal() });
      return;
    }
    const seed = this.#seeds.find(({ id }) => id === decision.seedId);
    if (!seed) throw new Error(`there is no seed ${decision.seedId}`);
    const refused = this.#random.uniform() < 0.1;
    if (decision.action === "advance" && !refused) {
      seed.stage = ADVANCES[decision.operation].to;
      return;
    }
    seed.stage = "EMBARGOED";
    const untilStep = this.#step + EMBARGO_STEPS;
    this.#closed.push({ slotId: seed.arm.slotId, id: seed.arm.candidate.id, untilStep });
  }
}

function scalarsOf({ candidate }: Arm): number {
  return SCALARS[candidate.id] ?? 0;
}

function stepFlops(arm: Arm): number {
  return 6 * scalarsOf(arm);
}
