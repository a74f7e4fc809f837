/**
 * An update plan as a traced program: the same formulas on arrays, for engines whose state does not lie in this process's
 * memory, and what the kernel is held against.
 */
import type { Array as JaxArray } from "@jax-js/jax";
import { numpy as np } from "@jax-js/jax";
import {
  float32,
  type Tensor,
  type TensorSpec,
  type TensorSpecs,
  type Tensors,
} from "../../contracts/tensor.js";
import type { Arrays, ProgramDefinition } from "../trace.js";
import { type Arithmetic, settingAt, type UpdatePlan, valueAt } from "./rule.js";

/** Takes references of its own: a value may be used any number of times. */
const ARRAYS: Arithmetic<JaxArray> = {
  constant: (value) => np.array(value, { dtype: np.float32 }),
  add: (a, b) => a.ref.add(b.ref),
  sub: (a, b) => a.ref.sub(b.ref),
  mul: (a, b) => a.ref.mul(b.ref),
  div: (a, b) => a.ref.div(b.ref),
  sqrt: (a) => np.sqrt(a.ref),
};

/** The control of a parameter's scalars, in the order of the rule's: [scalars]. */
function scalarsControl(parameter: string): string {
  return `scalars/${parameter}`;
}

/**
 * state {parameters, slots}, batch {the gradient of each parameter, by its path}, controls of {@link scalarVectors} → the new
 * state. Whoever runs it counts the updates: the scalars that depend on them are computed outside.
 * @param specs of the parameters
 */
export function tracedUpdate({ rule, targets }: UpdatePlan, specs: TensorSpecs): ProgramDefinition {
  const entries = Object.entries(targets);
  const specOf = (path: string): TensorSpec => valueAt(specs, path);
  const slots = entries.flatMap(([path, target]) =>
    Object.values(target.slots).map((slot) => [slot, specOf(path)] as const),
  );
  const vector: TensorSpec = { shape: [rule.scalars.length], dtype: "float32" };
  return {
    name: `${rule.id} update`,
    state: {
      ...Object.fromEntries(entries.map(([path]) => [path, specOf(path)])),
      ...Object.fromEntries(slots),
    },
    batch: Object.fromEntries(entries.map(([path]) => [path, specOf(path)])),
    controls: Object.fromEntries(entries.map(([path]) => [scalarsControl(path), vector])),
    run(state, gradients, controls) {
      const next: Arrays = {};
      for (const [path, target] of entries) {
        const scalars = valueAt(controls, scalarsControl(path));
        const after = rule.next(ARRAYS, {
          parameter: valueAt(state, path),
          gradient: valueAt(gradients, path),
          slots: mapped(rule.slots, (slot) => valueAt(state, valueAt(target.slots, slot))),
          scalars: mapped(rule.scalars, (_, i) => scalars.ref.slice([i, i + 1]).reshape([])),
        });
        next[path] = after.parameter;
        for (const slot of rule.slots) next[valueAt(target.slots, slot)] = valueAt(after.slots, slot);
      }
      return { state: next, outputs: {} };
    },
  };
}

/** The state paths that count updates, each once. */
export function countPaths({ targets }: UpdatePlan): readonly string[] {
  return [...new Set(Object.values(targets).flatMap(({ count }) => count ?? []))];
}

/**
 * What the program is fed: the scalars of each parameter.
 * @param controls the plan's settings, scalars
 * @param counts of the updates, this one included, by state path
 * @param program named where a setting is missing
 * @throws KasminaError `engine` for a setting that is missing or no scalar
 */
export function scalarVectors(
  { rule, targets }: UpdatePlan,
  controls: Tensors,
  counts: Readonly<Record<string, number>>,
  program: string,
): Tensors {
  const vectorOf = ([path, target]: [string, UpdatePlan["targets"][string]]): [string, Tensor] => {
    const given = mapped(rule.settings, (setting) =>
      settingAt(controls, valueAt(target.settings, setting), program),
    );
    const values = rule.scalarsOf(given, target.count === undefined ? 0 : valueAt(counts, target.count));
    const vector = rule.scalars.map((scalar) => valueAt(values, scalar));
    return [scalarsControl(path), float32([vector.length], vector)];
  };
  return Object.fromEntries(Object.entries(targets).map(vectorOf));
}

function mapped<V>(
  names: readonly string[],
  value: (name: string, i: number) => V,
): Readonly<Record<string, V>> {
  return Object.fromEntries(names.map((name, i) => [name, value(name, i)]));
}
