/**
 * Optimizers as pure updates inside the traced step. State and hyper-parameters are arrays: learning rate, momentum
 * and weight decay are runtime inputs and never recompile.
 */
import { numpy as np } from "@jax-js/jax";
import type { JaxArray } from "../engine/index.js";

/** Hyper-parameters of one parameter group, scalars. */
export interface HyperArrays {
  readonly lr: JaxArray;
  /** SGD's momentum; Adam's β₁. */
  readonly momentum: JaxArray;
  readonly weightDecay: JaxArray;
}

export interface UpdateInput {
  readonly parameter: JaxArray;
  readonly gradient: JaxArray;
  /** State of this parameter, by slot name, each of the parameter's shape. */
  readonly slots: Readonly<Record<string, JaxArray>>;
  readonly hyper: HyperArrays;
  /** Updates of this parameter so far, this one included: a scalar. Given where `countsSteps`. */
  readonly count: JaxArray | undefined;
}

export interface UpdateResult {
  readonly parameter: JaxArray;
  readonly slots: Readonly<Record<string, JaxArray>>;
}

export interface Optimizer {
  readonly id: OptimizerId;
  /** State kept for each parameter. */
  readonly slots: readonly string[];
  readonly countsSteps: boolean;
  readonly defaults: { readonly lr: number; readonly momentum: number; readonly weightDecay: number };
  /** The rate at which a seed learns beside a host of that base rate, unless a command says otherwise. */
  seedRate(baseRate: number): number;
  /** Takes references of its own; the caller's stay. */
  update(input: UpdateInput): UpdateResult;
}

export type OptimizerId = "sgd" | "adam" | "adamw";

const BETA2 = 0.999;
const EPSILON = 1e-8;

/**
 * A seed starts from nothing beside a network that has learned already, so with Adam it learns faster than a slow host: on MNIST
 * at 0.001, a factor of 3 kept a helpful seed for random seeds 0, 1 and 2; 1 and 6 did so for one of them at most. Beside a
 * fast one it must learn slower, or its shadow gain drowns in its own noise: of helpful seeds on spirals at 0.01, those that
 * learned at 0.01 were culled and those at 0.003 kept; on MNIST at 0.003, a factor of 3 culled.
 */
const SEED_RATE_FACTOR = 3;
const MAX_SEED_RATE = 0.003;

function adamSeedRate(baseRate: number): number {
  return Math.min(SEED_RATE_FACTOR * baseRate, MAX_SEED_RATE);
}

/** v ← μ·v + g + λ·p; p ← p − η·v (Sutskever et al. 2013, as PyTorch's SGD writes it). */
const sgd: Optimizer = {
  id: "sgd",
  slots: ["momentum"],
  countsSteps: false,
  defaults: { lr: 0.05, momentum: 0.9, weightDecay: 0 },
  seedRate: (baseRate) => baseRate,
  update({ parameter, gradient, slots, hyper }) {
    const decayed = gradient.ref.add(parameter.ref.mul(hyper.weightDecay.ref));
    const velocity = slot(slots, "momentum").ref.mul(hyper.momentum.ref).add(decayed);
    return { parameter: parameter.ref.sub(velocity.ref.mul(hyper.lr.ref)), slots: { momentum: velocity } };
  },
};

/** Kingma & Ba 2014, arXiv:1412.6980, weight decay added to the gradient (L2). */
const adam: Optimizer = {
  id: "adam",
  slots: ["m", "v"],
  countsSteps: true,
  defaults: { lr: 0.001, momentum: 0.9, weightDecay: 0 },
  seedRate: adamSeedRate,
  update(input) {
    const { gradient, parameter, hyper } = input;
    const step = adamStep(input, gradient.ref.add(parameter.ref.mul(hyper.weightDecay.ref)));
    return { parameter: parameter.ref.sub(step.direction.mul(hyper.lr.ref)), slots: step.slots };
  },
};

/** Loshchilov & Hutter 2017, arXiv:1711.05101: decay apart from the gradient, p ← p − η·(direction + λ·p). */
const adamw: Optimizer = {
  id: "adamw",
  slots: ["m", "v"],
  countsSteps: true,
  defaults: { lr: 0.001, momentum: 0.9, weightDecay: 0.01 },
  seedRate: adamSeedRate,
  update(input) {
    const { gradient, parameter, hyper } = input;
    const step = adamStep(input, gradient.ref);
    const change = step.direction.add(parameter.ref.mul(hyper.weightDecay.ref)).mul(hyper.lr.ref);
    return { parameter: parameter.ref.sub(change), slots: step.slots };
  },
};

/** Bias-corrected direction m̂ / (√v̂ + ε). Consumes `gradient`. */
function adamStep({ slots, hyper, count }: UpdateInput, gradient: JaxArray) {
  if (!count) throw new TypeError("adam needs the count of updates");
  const beta1 = hyper.momentum;
  const m = slot(slots, "m")
    .ref.mul(beta1.ref)
    .add(gradient.ref.mul(beta1.ref.mul(-1).add(1)));
  const v = slot(slots, "v")
    .ref.mul(BETA2)
    .add(np.square(gradient).mul(1 - BETA2));
  const correction1 = powerComplement(np.log(beta1.ref), count.ref);
  const correction2 = powerComplement(np.array(Math.log(BETA2)), count.ref);
  const direction = m.ref.div(correction1).div(np.sqrt(v.ref.div(correction2)).add(EPSILON));
  return { direction, slots: { m, v } };
}

/** 1 − β^t from ln β and t. */
function powerComplement(logBeta: JaxArray, count: JaxArray): JaxArray {
  return np.exp(logBeta.mul(count)).mul(-1).add(1);
}

function slot(slots: Readonly<Record<string, JaxArray>>, name: string): JaxArray {
  const array = slots[name];
  if (!array) throw new TypeError(`optimizer state ${name} is missing`);
  return array;
}

export const OPTIMIZERS: Readonly<Record<OptimizerId, Optimizer>> = { sgd, adam, adamw };
