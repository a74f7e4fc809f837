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
import { type Arithmetic, type UpdatePlan, valueAt } from "./rule.js";

const SCALAR: TensorSpec = { shape: [], dtype: "float32" };

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
 * state {parameters, slots, counts}, batch {the gradient of each parameter, by its path}, controls of {@link scalarVectors} →
 * the new state.
 * @param specs of the parameters
 */
export function tracedUpdate({ rule, targets }: UpdatePlan, specs: TensorSpecs): ProgramDefinition {
  const entries = Object.entries(targets);
  const specOf = (path: string): TensorSpec => valueAt(specs, path);
  const slots = entries.flatMap(([path, target]) =>
    Object.values(target.slots).map((slot) => [slot, specOf(path)] as const),
  );
  const counts = new Set(entries.flatMap(([, { count }]) => count ?? []));
  const vector: TensorSpec = { shape: [rule.scalars.length], dtype: "float32" };
  return {
    name: `${rule.id} update`,
    state: {
      ...Object.fromEntries(entries.map(([path]) => [path, specOf(path)])),
      ...Object.fromEntries(slots),
      ...Object.fromEntries([...counts].map((path) => [path, SCALAR])),
    },
    batch: Object.fromEntries(entries.map(([path]) => [path, specOf(path)])),
    controls: Object.fromEntries(entries.map(([path]) => [scalarsControl(path), vector])),
    run(state, gradients, controls) {
      const next: Arrays = {};
      for (const path of counts) next[path] = valueAt(state, path).ref.add(1);
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

/**
 * What the program is fed: the scalars of each parameter for its next update.
 * @param settings controls of the plan's settings, scalars
 * @param counts the present counts of updates, by state path
 */
export function scalarVectors({ rule, targets }: UpdatePlan, settings: Tensors, counts: Tensors): Tensors {
  const numberAt = (tensors: Tensors, path: string): number => valueAt(tensors, path).data[0] ?? Number.NaN;
  const vectorOf = ([path, target]: [string, UpdatePlan["targets"][string]]): [string, Tensor] => {
    const given = mapped(rule.settings, (setting) => numberAt(settings, valueAt(target.settings, setting)));
    const count = target.count === undefined ? 0 : numberAt(counts, target.count) + 1;
    const values = rule.scalarsOf(given, count);
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
