/** The training step of a topology as one program: metrics and gradients, and the optimizer's update of what learns. */

import { numpy as np } from "@jax-js/jax";
import {
  countPath,
  groupOf,
  hyperControl,
  moduleOf,
  sizeOf,
  slotPath,
  type TensorSpec,
  type TensorSpecs,
} from "../contracts/index.js";
import type { Arrays, JaxArray, ProgramDefinition, UpdatePlan, UpdateTarget } from "../engine/index.js";
import {
  batchSpecs,
  blendControlSpecs,
  distillationControlSpecs,
  globalNorm,
  learningPlan,
  parameterSpecs,
  type SeedSite,
  stepGradients,
  type Topology,
  teacherSpecs,
} from "../network/index.js";
import type { Optimizer } from "./optimizers.js";

const SCALAR: TensorSpec = { shape: [], dtype: "float32" };

/** Specs of the optimizer state that belongs to parameters of these specs. */
export function optimizerSpecs(optimizer: Optimizer, parameters: TensorSpecs): TensorSpecs {
  const entries = Object.entries(parameters);
  const slots = entries.flatMap(([path, spec]) =>
    optimizer.slots.map((slot) => [slotPath(slot, path), spec] as const),
  );
  const counts = optimizer.countsSteps
    ? entries.map(([path]) => [countPath(moduleOf(path)), SCALAR] as const)
    : [];
  return Object.fromEntries([...slots, ...counts]);
}

/** Output of a step: a seed's shadow loss. */
export function shadowLossOutput(seedId: string): string {
  return `loss/${seedId}`;
}

/** Output of a step: the norm of a seed's gradient. */
export function gradientNormOutput(seedId: string): string {
  return `gradient_norm/${seedId}`;
}

/**
 * The program of one step: state {parameters}, batch {x, y}, controls {blend weights} → the gradients of the parameters that
 * learn, and outputs `loss`, per seed with a shadow loss `loss/<id>`, per seed that has gradients `gradient_norm/<id>`. Its
 * update takes the state {optimizer} and the controls {hyper-parameters} besides.
 * @param prefix leading blocks that were carried out before: x is what they give
 */
export function trainStepProgram(
  topology: Topology,
  optimizer: Optimizer,
  batch: number,
  prefix = 0,
): ProgramDefinition {
  const specs = parameterSpecs(topology, { from: prefix });
  const plan = learningPlan(topology);
  const shadows = [...plan.shadows].flatMap(([site, paths]) => (site.part === "germinated" ? [] : paths));
  const learning = [...plan.main, ...shadows];
  return {
    name: "training step",
    state: { ...specs, ...(topology.teacher && teacherSpecs(topology.teacher)) },
    batch: { ...batchSpecs(topology.host, batch, topology.loss, prefix) },
    controls: { ...blendControlSpecs(topology), ...distillationControlSpecs(topology) },
    update: updatePlan(optimizer, learning),
    run(state, arrays, controls) {
      const batch = arrays as { readonly x: JaxArray; readonly y: JaxArray; readonly weight?: JaxArray };
      const step = stepGradients(topology, state, controls, { ...batch, prefix });
      const outputs: Arrays = { loss: step.loss };
      for (const [site, loss] of step.shadowLosses) outputs[shadowLossOutput(site.seedId)] = loss;
      for (const site of topology.sites) addGradientNorm(outputs, site, step.gradients);
      const gradients = pick(step.gradients, learning);
      return { state: {}, gradients: clipped(gradients, topology.clipNorm), outputs };
    },
  };
}

/** How the optimizer updates these parameters: each by its own state, its module's count and its group's settings. */
export function updatePlan(optimizer: Optimizer, parameters: readonly string[]): UpdatePlan {
  const targetOf = (path: string): UpdateTarget => ({
    slots: Object.fromEntries(optimizer.slots.map((slot) => [slot, slotPath(slot, path)])),
    ...(optimizer.countsSteps && { count: countPath(moduleOf(path)) }),
    settings: Object.fromEntries(
      optimizer.settings.map((setting) => [setting, hyperControl(groupOf(path), setting)]),
    ),
  });
  return { rule: optimizer, targets: Object.fromEntries(parameters.map((path) => [path, targetOf(path)])) };
}

/**
 * Each owner's gradients, the host's and each seed's, by a factor of min(1, limit / their norm): a seed with a wild gradient shortens
 * nobody's but its own. As PyTorch's `clip_grad_norm_`, but for the 1e-6 that it adds to the norm.
 */
function clipped(gradients: Arrays, limit: number | undefined): Arrays {
  if (limit === undefined) return gradients;
  const owners = [...new Set(Object.keys(gradients).map(groupOf))];
  const parts = owners.map((owner) => {
    const own = Object.entries(gradients).filter(([path]) => groupOf(path) === owner);
    const norm = globalNorm(own.map(([, gradient]) => gradient));
    const factor = np.where(norm.ref.less(limit), 1, np.reciprocal(norm).mul(limit));
    const scaled = own.map(([path, gradient]) => [path, gradient.mul(factor.ref)] as const);
    factor.dispose();
    return Object.fromEntries(scaled);
  });
  return Object.assign({}, ...parts) as Arrays;
}

function pick(arrays: Arrays, names: readonly string[]): Arrays {
  return Object.fromEntries(Object.entries(arrays).filter(([name]) => names.includes(name)));
}

function addGradientNorm(outputs: Arrays, site: SeedSite, gradients: Arrays): void {
  const own = Object.entries(gradients).filter(([path]) => groupOf(path) === site.seedId);
  if (own.length > 0)
    outputs[gradientNormOutput(site.seedId)] = globalNorm(own.map(([, gradient]) => gradient));
}

/** Number of scalars in tensors of these specs. */
export function countScalars(specs: TensorSpecs): number {
  return Object.values(specs).reduce((sum, spec) => sum + sizeOf(spec.shape), 0);
}
