/**
 * The optimizers, each an update rule: one formula over one element, which the engine runs as a WebAssembly kernel or traces
 * for a device. Learning rate, momentum and weight decay are runtime inputs and never recompile anything.
 */
import { HYPER_NAMES } from "../contracts/index.js";
import { type Arithmetic, type UpdateRule, wholePower } from "../engine/index.js";

/** What is set of a parameter group; `momentum` is SGD's, and Adam's β₁. */
export type Setting = (typeof HYPER_NAMES)[number];

export interface Optimizer extends UpdateRule<string, string, Setting> {
  readonly id: OptimizerId;
  readonly defaults: { readonly lr: number; readonly momentum: number; readonly weightDecay: number };
  /** The rate at which a seed learns next to a host of that base rate, unless a command sets another. */
  seedRate(baseRate: number): number;
}

export type OptimizerId = "sgd" | "adam" | "adamw";

const BETA2 = 0.999;
const EPSILON = 1e-8;

/**
 * A seed starts from nothing next to a network that has learned already, so with Adam it learns faster than a slow
 * host: on MNIST at 0.001, a factor of 3 kept a helpful seed for random seeds 0, 1 and 2; 1 and 6 did so for one of
 * them at most. Beside a fast one it must learn slower, or its shadow gain drowns in its own noise: of helpful seeds on
 * spirals at 0.01, those that learned at 0.01 were culled and those at 0.003 kept; on MNIST at 0.003, a factor of 3
 * culled.
 */
const SEED_RATE_FACTOR = 3;
const MAX_SEED_RATE = 0.003;

function adamSeedRate(baseRate: number): number {
  return Math.min(SEED_RATE_FACTOR * baseRate, MAX_SEED_RATE);
}

/** v ← μ·v + g + λ·p; p ← p − η·v (Sutskever et al. 2013, as PyTorch's SGD writes it). */
const sgd: Optimizer & UpdateRule<"momentum", Setting, Setting> = {
  id: "sgd",
  slots: ["momentum"],
  scalars: HYPER_NAMES,
  settings: HYPER_NAMES,
  countsSteps: false,
  defaults: { lr: 0.05, momentum: 0.9, weightDecay: 0 },
  seedRate: (baseRate) => baseRate,
  scalarsOf: (settings) => settings,
  next({ add, sub, mul }, { parameter, gradient, slots, scalars }) {
    const decayed = add(gradient, mul(parameter, scalars.weight_decay));
    const momentum = add(mul(slots.momentum, scalars.momentum), decayed);
    return { parameter: sub(parameter, mul(momentum, scalars.lr)), slots: { momentum } };
  },
};

type AdamSlot = "m" | "v";
type AdamScalar = (typeof ADAM_SCALARS)[number];
type AdamRule = Optimizer & UpdateRule<AdamSlot, AdamScalar, Setting>;

/** `step` is η / (1 − β₁ᵗ), `deviation` 1 / √(1 − β₂ᵗ): Adam's corrections of what starts at 0, in the form of section 2 of its paper. */
const ADAM_SCALARS = ["beta1", "oneMinusBeta1", "step", "deviation", "decay"] as const;

const ADAM: Pick<AdamRule, "slots" | "scalars" | "settings" | "countsSteps" | "seedRate"> = {
  slots: ["m", "v"],
  scalars: ADAM_SCALARS,
  settings: HYPER_NAMES,
  countsSteps: true,
  seedRate: adamSeedRate,
};

/** Kingma & Ba 2014, arXiv:1412.6980, weight decay added to the gradient (L2). */
const adam: AdamRule = {
  ...ADAM,
  id: "adam",
  defaults: { lr: 0.001, momentum: 0.9, weightDecay: 0 },
  scalarsOf: (settings, count) => ({ ...adamScalars(settings, count), decay: settings.weight_decay }),
  next(math, { parameter, gradient, slots, scalars }) {
    const decayed = math.add(gradient, math.mul(parameter, scalars.decay));
    const { direction, ...moments } = adamStep(math, decayed, slots, scalars);
    return { parameter: math.sub(parameter, math.mul(direction, scalars.step)), slots: moments };
  },
};

/** Loshchilov & Hutter 2017, arXiv:1711.05101: decay apart from the gradient, p ← p − η·(m̂ / (√v̂ + ε) + λ·p). */
const adamw: AdamRule = {
  ...ADAM,
  id: "adamw",
  defaults: { lr: 0.001, momentum: 0.9, weightDecay: 0.01 },
  scalarsOf: (settings, count) => ({
    ...adamScalars(settings, count),
    decay: settings.lr * settings.weight_decay,
  }),
  next(math, { parameter, gradient, slots, scalars }) {
    const { direction, ...moments } = adamStep(math, gradient, slots, scalars);
    const change = math.add(math.mul(direction, scalars.step), math.mul(parameter, scalars.decay));
    return { parameter: math.sub(parameter, change), slots: moments };
  },
};

function adamScalars({ lr, momentum: beta1 }: Readonly<Record<Setting, number>>, count: number) {
  return {
    beta1,
    oneMinusBeta1: 1 - beta1,
    step: lr / (1 - wholePower(beta1, count)),
    deviation: 1 / Math.sqrt(1 - wholePower(BETA2, count)),
  };
}

/** m, v, and the direction m / (√v̂ + ε), which lacks the correction of m. */
function adamStep<V>(
  { constant, add, mul, div, sqrt }: Arithmetic<V>,
  gradient: V,
  slots: Readonly<Record<AdamSlot, V>>,
  scalars: Readonly<Record<AdamScalar, V>>,
) {
  const m = add(mul(slots.m, scalars.beta1), mul(gradient, scalars.oneMinusBeta1));
  const square = mul(gradient, gradient);
  const v = add(mul(slots.v, constant(BETA2)), mul(square, constant(1 - BETA2)));
  const direction = div(m, add(mul(sqrt(v), scalars.deviation), constant(EPSILON)));
  return { m, v, direction };
}

export const OPTIMIZERS: Readonly<Record<OptimizerId, Optimizer>> = { sgd, adam, adamw };
