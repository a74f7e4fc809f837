/** The training step of a topology as one program: gradients, then the optimizer's update of what learns. */

import {
  countPath,
  groupOf,
  HYPER_NAMES,
  hyperControl,
  moduleOf,
  sizeOf,
  slotPath,
  type TensorSpec,
  type TensorSpecs,
} from "../contracts/index.js";
import type { Arrays, JaxArray, ProgramDefinition } from "../engine/index.js";
import {
  batchSpecs,
  blendControlSpecs,
  distillationControlSpecs,
  globalNorm,
  learningPlan,
  lookupIn,
  parameterSpecs,
  type SeedSite,
  stepGradients,
  type Topology,
  teacherSpecs,
} from "../network/index.js";
import type { HyperArrays, Optimizer } from "./optimizers.js";

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
 * The program of one step: state {parameters, optimizer}, batch {x, y}, controls {blend weights, hyper-parameters} →
 * the parameters that learn with their optimizer state, and outputs `loss`, per seed with a
 * shadow loss `loss/<id>`, per seed that has gradients `gradient_norm/<id>`.
 */
export function trainStepProgram(topology: Topology, optimizer: Optimizer, batch: number): ProgramDefinition {
  const specs = parameterSpecs(topology);
  const plan = learningPlan(topology);
  const shadows = [...plan.shadows].flatMap(([site, paths]) => (site.part === "germinated" ? [] : paths));
  const learning = [...plan.main, ...shadows];
  const learningSpecs = Object.fromEntries(learning.map((path) => [path, specs[path] ?? SCALAR]));
  const groups = new Set(learning.map(groupOf));
  const hyper = [...groups].flatMap((group) =>
    HYPER_NAMES.map((name) => [hyperControl(group, name), SCALAR] as const),
  );
  return {
    name: "training step",
    state: {
      ...specs,
      ...(topology.teacher && teacherSpecs(topology.teacher)),
      ...optimizerSpecs(optimizer, learningSpecs),
    },
    batch: { ...batchSpecs(topology.host, batch) },
    controls: {
      ...blendControlSpecs(topology),
      ...distillationControlSpecs(topology),
      ...Object.fromEntries(hyper),
    },
    run(state, arrays, controls) {
      const { x, y } = arrays as Record<"x" | "y", JaxArray>;
      const step = stepGradients(topology, state, controls, x, y);
      const outputs: Arrays = { loss: step.loss };
      for (const [site, loss] of step.shadowLosses) outputs[shadowLossOutput(site.seedId)] = loss;
      for (const site of topology.sites) addGradientNorm(outputs, site, step.gradients);
      return { state: applyUpdates(optimizer, state, controls, pick(step.gradients, learning)), outputs };
    },
  };
}

function pick(arrays: Arrays, names: readonly string[]): Arrays {
  return Object.fromEntries(Object.entries(arrays).filter(([name]) => names.includes(name)));
}

function addGradientNorm(outputs: Arrays, site: SeedSite, gradients: Arrays): void {
  const own = Object.entries(gradients).filter(([path]) => groupOf(path) === site.seedId);
  if (own.length > 0)
    outputs[gradientNormOutput(site.seedId)] = globalNorm(own.map(([, gradient]) => gradient));
}

function applyUpdates(optimizer: Optimizer, state: Arrays, controls: Arrays, gradients: Arrays): Arrays {
  const stateOf = lookupIn(state);
  const controlOf = lookupIn(controls);
  const next: Arrays = {};
  for (const [path, gradient] of Object.entries(gradients)) {
    const result = optimizer.update({
      parameter: stateOf(path),
      gradient,
      slots: Object.fromEntries(optimizer.slots.map((slot) => [slot, stateOf(slotPath(slot, path))])),
      hyper: hyperOf(controlOf, groupOf(path)),
      count: optimizer.countsSteps ? nextCount(next, stateOf, path) : undefined,
    });
    next[path] = result.parameter;
    for (const [slot, array] of Object.entries(result.slots)) next[slotPath(slot, path)] = array;
  }
  return next;
}

/** The update count of the parameter's module, raised once a step. */
function nextCount(next: Arrays, stateOf: (path: string) => JaxArray, path: string): JaxArray {
  const key = countPath(moduleOf(path));
  const count = next[key] ?? stateOf(key).add(1);
  next[key] = count;
  return count;
}

function hyperOf(controlOf: (name: string) => JaxArray, group: string): HyperArrays {
  return {
    lr: controlOf(hyperControl(group, "lr")),
    momentum: controlOf(hyperControl(group, "momentum")),
    weightDecay: controlOf(hyperControl(group, "weight_decay")),
  };
}

/** Number of scalars in tensors of these specs. */
export function countScalars(specs: TensorSpecs): number {
  return Object.values(specs).reduce((sum, spec) => sum + sizeOf(spec.shape), 0);
}
