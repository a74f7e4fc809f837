/**
 * Update rules: what becomes of a parameter and its optimizer state, given its gradient. A rule is one formula over one
 * element, written once in terms of an {@link Arithmetic}; where that computes on numbers, on code or on traced arrays, the
 * formula gives a reference, a WebAssembly kernel (kernel.ts) or a program for a device (traced-update.ts).
 *
 * The form (a pure update from gradient and state) is that of Optax, arXiv:2010.09063.
 */
import { KasminaError } from "../../base/errors.js";
import { formatSpec, sameSpec, type TensorSpec, type Tensors } from "../../contracts/tensor.js";

/** What a formula may do with its values, each a function of its own. Every operation rounds once, as IEEE 754 says. */
export interface Arithmetic<V> {
  readonly constant: (value: number) => V;
  readonly add: (a: V, b: V) => V;
  readonly sub: (a: V, b: V) => V;
  readonly mul: (a: V, b: V) => V;
  readonly div: (a: V, b: V) => V;
  readonly sqrt: (a: V) => V;
}

export type Named<V, Name extends string> = Readonly<Record<Name, V>>;

/** One element of everything that an update takes. */
export interface ElementBefore<V, Slot extends string, Scalar extends string> {
  readonly parameter: V;
  readonly gradient: V;
  readonly slots: Named<V, Slot>;
  /** The same for all elements of a parameter. */
  readonly scalars: Named<V, Scalar>;
}

export interface ElementAfter<V, Slot extends string> {
  readonly parameter: V;
  readonly slots: Named<V, Slot>;
}

export interface UpdateRule<
  Slot extends string = string,
  Scalar extends string = string,
  Setting extends string = string,
> {
  readonly id: string;
  /** State kept for each parameter, each of the parameter's shape. */
  readonly slots: readonly Slot[];
  /** What the formula takes besides the element, float32. */
  readonly scalars: readonly Scalar[];
  /** What is set from outside, at every step: learning rate and the like, float32. */
  readonly settings: readonly Setting[];
  /** Whether the scalars depend on how many updates there have been. */
  readonly countsSteps: boolean;
  /** The scalars of one update, in float64. `count` is the number of updates, this one included. */
  scalarsOf(settings: Named<number, Setting>, count: number): Named<number, Scalar>;
  /** The formula. A value may be used any number of times. */
  next<V>(math: Arithmetic<V>, element: ElementBefore<V, Slot, Scalar>): ElementAfter<V, Slot>;
}

/** What a program does with its gradients once it has run: every parameter that has one is updated in place. */
export interface UpdatePlan {
  readonly rule: UpdateRule;
  /** By parameter path, one for each gradient of the program. */
  readonly targets: Readonly<Record<string, UpdateTarget>>;
}

/** What belongs to a parameter: all by name, so that nothing else can enter its update. */
export interface UpdateTarget {
  /** State path of each slot of the rule. */
  readonly slots: Readonly<Record<string, string>>;
  /** State path of the count of updates, a scalar that several parameters may share. Set where the rule counts. */
  readonly count?: string;
  /** The control, a scalar, that each setting of the rule is read from. */
  readonly settings: Readonly<Record<string, string>>;
}

/** βⁿ of a whole n ≥ 0, by products alone: the same bits on every machine. */
export function wholePower(base: number, exponent: number): number {
  let result = 1;
  let square = base;
  for (let left = exponent; left >= 1; left = Math.floor(left / 2)) {
    if (left % 2 === 1) result *= square;
    square *= square;
  }
  return result;
}

/** The formula on float64 numbers: the reference. */
export const NUMBERS: Arithmetic<number> = {
  constant: (value) => value,
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  sqrt: Math.sqrt,
};

/** Floating point operations that one element costs. */
export function flopsOfElement(rule: UpdateRule): number {
  let operations = 0;
  const count = (): undefined => {
    operations++;
  };
  const named = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, undefined]));
  rule.next<undefined>(
    {
      constant: () => undefined,
      add: count,
      sub: count,
      mul: count,
      div: count,
      sqrt: count,
    },
    { parameter: undefined, gradient: undefined, slots: named(rule.slots), scalars: named(rule.scalars) },
  );
  return operations;
}

/** The value of a name that must be there. */
export function valueAt<V>(values: Readonly<Record<string, V>>, name: string): V {
  const value = values[name];
  if (value === undefined) throw new KasminaError("engine", `the update has no ${name}`);
  return value;
}

const SCALAR: TensorSpec = { shape: [], dtype: "float32" };

/**
 * The number that a setting is read from.
 * @throws KasminaError `engine` where it is missing or no scalar
 */
export function settingAt(controls: Tensors, name: string, program: string): number {
  const tensor = controls[name];
  if (tensor && sameSpec(SCALAR, tensor)) return tensor.data[0] ?? Number.NaN;
  const found = tensor ? `got ${formatSpec(tensor)}` : "which is missing";
  throw new KasminaError("engine", `${program} needs controls ${name} ${formatSpec(SCALAR)}, ${found}`);
}
