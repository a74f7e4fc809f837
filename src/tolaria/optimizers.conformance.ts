/** What every execution of the optimizers must do. A test file runs it for each. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  float32,
  HYPER_NAMES,
  hyperControl,
  scalar,
  sizeOf,
  type Tensor,
  type TensorSpecs,
  type Tensors,
} from "../contracts/index.js";
import type { Arithmetic, UpdatePlan } from "../engine/index.js";
import { NUMBERS } from "../engine/update/rule.js";
import { OPTIMIZERS, type Optimizer, type Setting } from "./optimizers.js";
import { optimizerSpecs, updatePlan } from "./train-step.js";

/** Runs one update: the state after it, from all that the plan names and the gradients by parameter. */
export type Execution = (
  plan: UpdatePlan,
  specs: TensorSpecs,
  state: Tensors,
  gradients: readonly Tensors[],
  controls: Tensors,
) => Promise<Tensors>;

/** Each operation rounded to float32: what a kernel computes, bit for bit. */
export const ROUNDED: Arithmetic<number> = {
  constant: Math.fround,
  add: (a, b) => Math.fround(a + b),
  sub: (a, b) => Math.fround(a - b),
  mul: (a, b) => Math.fround(a * b),
  div: (a, b) => Math.fround(a / b),
  sqrt: (a) => Math.fround(Math.sqrt(a)),
};

/** Two owners, a module of two parameters; sizes that are no multiple of a vector's, small ones and one that stays alone. */
const SHAPES = {
  "host/stem/w": [3, 5],
  "host/stem/b": [1],
  "host/head/w": [2, 4],
  "seed/s1/up": [7],
  "seed/s1/table": [90, 93],
};
const SPECS: TensorSpecs = Object.fromEntries(
  Object.entries(SHAPES).map(([path, shape]) => [path, { shape, dtype: "float32" as const }]),
);

interface Case {
  readonly parameters: Tensors;
  readonly gradients: readonly Tensors[];
  readonly settings: Readonly<Record<string, Readonly<Record<Setting, number>>>>;
}

function tensors(values: (path: string, i: number) => number): Tensors {
  const tensorOf = (path: string, shape: readonly number[]): Tensor =>
    float32(
      shape,
      Float32Array.from({ length: sizeOf(shape) }, (_, i) => values(path, i)),
    );
  return Object.fromEntries(Object.entries(SHAPES).map(([path, shape]) => [path, tensorOf(path, shape)]));
}

/** Values spread over many orders of magnitude, from a few random ones. */
const some = fc
  .array(fc.float({ min: -2, max: 2, noNaN: true }), { minLength: 3, maxLength: 17 })
  .map((values) => tensors((path, i) => values[(i * 7 + path.length) % values.length] ?? 0));

const setting = fc.record({
  lr: fc.float({ min: 0, max: Math.fround(0.1), noNaN: true }),
  momentum: fc.float({ min: 0, max: Math.fround(0.99), noNaN: true }),
  weight_decay: fc.float({ min: 0, max: Math.fround(0.1), noNaN: true }),
});

const cases: fc.Arbitrary<Case> = fc.record({
  parameters: some,
  gradients: fc.array(some, { minLength: 1, maxLength: 4 }),
  settings: fc.record({ host: setting, s1: setting }),
});

function controlsOf({ settings }: Case): Tensors {
  return Object.fromEntries(
    Object.entries(settings).flatMap(([group, values]) =>
      HYPER_NAMES.map((name) => [hyperControl(group, name), scalar(values[name])] as const),
    ),
  );
}

function startOf(optimizer: Optimizer, { parameters }: Pick<Case, "parameters">): Tensors {
  const fresh = Object.entries(optimizerSpecs(optimizer, SPECS));
  return {
    ...parameters,
    ...Object.fromEntries(fresh.map(([path, { shape }]) => [path, float32(shape)])),
  };
}

/** The formula element by element, on numbers that `math` computes and `keep` rounds. */
class Reference {
  readonly state: Record<string, number[]>;
  readonly #math: Arithmetic<number>;
  readonly #keep: (value: number) => number;
  readonly #optimizer: Optimizer;

  constructor(
    math: Arithmetic<number>,
    keep: (value: number) => number,
    optimizer: Optimizer,
    start: Tensors,
  ) {
    this.#math = math;
    this.#keep = keep;
    this.#optimizer = optimizer;
    this.state = Object.fromEntries(Object.entries(start).map(([path, { data }]) => [path, [...data]]));
  }

  update(gradients: Tensors, settings: Case["settings"], count: number): void {
    const { targets } = updatePlan(this.#optimizer, Object.keys(SPECS));
    for (const [path, target] of Object.entries(targets)) {
      if (target.count !== undefined) this.state[target.count] = [count];
      const scalars = this.#scalars(settings[path.startsWith("seed/") ? "s1" : "host"], count);
      for (const [i, gradient] of (gradients[path]?.data ?? []).entries()) {
        this.#element(path, target.slots, i, gradient, scalars);
      }
    }
  }

  #scalars(settings: Case["settings"][string] | undefined, count: number): Record<string, number> {
    if (!settings) throw new RangeError("no settings");
    const scalars = Object.entries(this.#optimizer.scalarsOf(settings, count));
    return Object.fromEntries(scalars.map(([name, value]) => [name, this.#keep(value)]));
  }

  #element(
    path: string,
    slots: Readonly<Record<string, string>>,
    i: number,
    gradient: number,
    scalars: Readonly<Record<string, number>>,
  ): void {
    const at = (one: string): number => this.state[one]?.[i] ?? Number.NaN;
    const own = Object.fromEntries(Object.entries(slots).map(([slot, slotPath]) => [slot, at(slotPath)]));
    const after = this.#optimizer.next(this.#math, { parameter: at(path), gradient, slots: own, scalars });
    this.#put(path, i, after.parameter);
    for (const [slot, slotPath] of Object.entries(slots)) this.#put(slotPath, i, after.slots[slot]);
  }

  #put(path: string, i: number, value: number | undefined): void {
    const values = this.state[path];
    if (values) values[i] = this.#keep(value ?? Number.NaN);
  }
}

function expected(
  math: Arithmetic<number>,
  keep: (value: number) => number,
  optimizer: Optimizer,
  one: Case,
): Readonly<Record<string, number[]>> {
  const reference = new Reference(math, keep, optimizer, startOf(optimizer, one));
  for (const [step, gradients] of one.gradients.entries())
    reference.update(gradients, one.settings, step + 1);
  return reference.state;
}

/** Declares the suite; `isKernel` where every operation rounds as IEEE 754 says, wherever an element lies. */
export function describeOptimizers(execution: Execution, isKernel: boolean): void {
  const run = (optimizer: Optimizer, one: Case, gradients = one.gradients): Promise<Tensors> => {
    const plan = updatePlan(optimizer, Object.keys(SPECS));
    return execution(plan, SPECS, startOf(optimizer, one), gradients, controlsOf(one));
  };
  const numbers = (tensors: Tensors) =>
    Object.fromEntries(Object.entries(tensors).map(([path, { data }]) => [path, [...data]]));

  test.each(Object.values(OPTIMIZERS))("$id is its formula in float64, within float32", async (optimizer) => {
    await fc.assert(
      fc.asyncProperty(cases, async (one) => {
        const wanted = expected(NUMBERS, (value) => value, optimizer, one);
        for (const [path, { data }] of Object.entries(await run(optimizer, one))) {
          const values = wanted[path] ?? [];
          const scale = Math.max(1e-6, ...values.map(Math.abs));
          const worst = values.map((value, i) => Math.abs((data[i] ?? Number.NaN) - value) / scale);
          expect(Math.max(...worst), path).toBeLessThan(1e-5);
        }
      }),
      { numRuns: 4, seed: 7 },
    );
  });

  if (isKernel) {
    test.each(
      Object.values(OPTIMIZERS),
    )("$id has the bits of float32, operation by operation", async (optimizer) => {
      await fc.assert(
        fc.asyncProperty(cases, async (one) => {
          const wanted = expected(ROUNDED, Math.fround, optimizer, one);
          expect(numbers(await run(optimizer, one))).toEqual(wanted);
        }),
        { numRuns: 4, seed: 8 },
      );
    });
  }

  test.each(
    Object.values(OPTIMIZERS),
  )("$id: a seed of NaN changes nothing of the host", async (optimizer) => {
    const [one] = fc.sample(cases, { numRuns: 1, seed: 9 }) as [Case];
    const poisoned = one.gradients.map((gradients) =>
      Object.fromEntries(
        Object.entries(gradients).map(([path, { shape, data }]) => [
          path,
          path.startsWith("seed/") ? float32(shape, Number.NaN) : float32(shape, [...data]),
        ]),
      ),
    );
    const hostOf = (state: Tensors) =>
      Object.fromEntries(Object.entries(state).filter(([path]) => !path.includes("seed/")));
    const after = await run(optimizer, one, poisoned);
    expect([...(after["seed/s1/up"]?.data ?? [])]).toEqual(Array(7).fill(Number.NaN));
    expect(hostOf(after)).toEqual(hostOf(await run(optimizer, one)));
  });

  test("a rate of 0 keeps every parameter to the bit", async () => {
    const [drawn] = fc.sample(cases, { numRuns: 1, seed: 10 }) as [Case];
    const still = { lr: 0, momentum: 0.9, weight_decay: 0.1 };
    const one = { ...drawn, settings: { host: still, s1: still } };
    for (const optimizer of Object.values(OPTIMIZERS)) {
      const after = await run(optimizer, one);
      for (const [path, { data }] of Object.entries(one.parameters)) expect(after[path]?.data).toEqual(data);
    }
  });
}
