/**
 * An update rule as a WebAssembly SIMD kernel: one pass over parameter, gradient and slots, where a graph of elementwise
 * operators makes one pass an operator. Its operations are IEEE 754's, one rounding each and no fused ones, so that it gives
 * the same bits on every machine, wherever an element lies.
 */
import { type Arithmetic, type UpdateRule, valueAt } from "./rule.js";
import { OP, SIMD, unsigned, type ValueType, type WasmFunction, wasmModule } from "./wasm-module.js";

/** The operators of one width: four elements at once, or what is left over, one by one. */
interface Width {
  readonly type: ValueType;
  readonly elements: number;
  readonly load: readonly number[];
  readonly store: readonly number[];
  readonly add: readonly number[];
  readonly sub: readonly number[];
  readonly mul: readonly number[];
  readonly div: readonly number[];
  readonly sqrt: readonly number[];
  /** Of a float32 on the stack. */
  readonly spread: readonly number[];
}

const ALIGNED_TO_4_BYTES = [2, 0];

const FOUR: Width = {
  type: "v128",
  elements: 4,
  load: [SIMD, 0x00, ...ALIGNED_TO_4_BYTES],
  store: [SIMD, 0x0b, ...ALIGNED_TO_4_BYTES],
  add: [SIMD, ...unsigned(0xe4)],
  sub: [SIMD, ...unsigned(0xe5)],
  mul: [SIMD, ...unsigned(0xe6)],
  div: [SIMD, ...unsigned(0xe7)],
  sqrt: [SIMD, ...unsigned(0xe3)],
  spread: OP.f32x4Splat,
};

const ONE: Width = {
  type: "f32",
  elements: 1,
  load: [0x2a, ...ALIGNED_TO_4_BYTES],
  store: [0x38, ...ALIGNED_TO_4_BYTES],
  add: [0x92],
  sub: [0x93],
  mul: [0x94],
  div: [0x95],
  sqrt: [0x91],
  spread: [],
};

const BYTES = 4;

/** Bytes from the start of the memory; each array lies at an address of its own, of `elements` float32. */
export interface UpdateArrays {
  readonly parameter: number;
  readonly gradient: number;
  /** In the order of the rule's slots. */
  readonly slots: readonly number[];
  readonly elements: number;
}

/** The kernel of a rule on one memory. */
export interface BoundKernel {
  /** Updates parameter and slots in place; `scalars` in the order of the rule's. */
  update(arrays: UpdateArrays, scalars: readonly number[]): void;
}

type UpdateFunction = (...values: number[]) => void;

/** The compiled kernel of a rule, for any memory. */
export class UpdateKernel {
  readonly #module: WebAssembly.Module;

  private constructor(rule: UpdateRule) {
    this.#module = new WebAssembly.Module(wasmModule([updateFunction(rule)]));
  }

  /** Compiled once a rule. */
  static of(rule: UpdateRule): UpdateKernel {
    const known = kernels.get(rule) ?? new UpdateKernel(rule);
    kernels.set(rule, known);
    return known;
  }

  bind(memory: WebAssembly.Memory): BoundKernel {
    const { exports } = new WebAssembly.Instance(this.#module, { env: { memory } });
    const run = exports.update as UpdateFunction;
    return {
      update: ({ parameter, gradient, slots, elements }, scalars) =>
        run(parameter, gradient, ...slots, elements, ...scalars),
    };
  }
}

const kernels = new WeakMap<UpdateRule, UpdateKernel>();

/** (parameter, gradient, slots …: addresses, elements: i32, scalars …: f32) → nothing. */
function updateFunction(rule: UpdateRule): WasmFunction {
  const arrays = 2 + rule.slots.length;
  const elements = arrays;
  const scalars = elements + 1;
  const end = scalars + rule.scalars.length;
  const vectors = new Formula(rule, FOUR, end + 1);
  const singles = new Formula(rule, ONE, end + 1 + vectors.locals);
  const pointers = Array.from({ length: arrays }, (_, i) => i);
  /** `end` ← the parameter's address + 4 · `code`'s count of elements. */
  const setEnd = (count: readonly number[]): readonly number[] => [
    ...OP.localGet(0),
    ...count,
    ...OP.i32Const(2),
    ...OP.i32Shl,
    ...OP.i32Add,
    ...OP.localSet(end),
  ];
  const loop = (formula: Formula): readonly number[] => [
    ...OP.block,
    ...OP.loop,
    ...OP.localGet(0),
    ...OP.localGet(end),
    ...OP.i32GeU,
    ...OP.branchIf(1),
    ...formula.body,
    ...pointers.flatMap((pointer) => [
      ...OP.localGet(pointer),
      ...OP.i32Const(formula.width.elements * BYTES),
      ...OP.i32Add,
      ...OP.localSet(pointer),
    ]),
    ...OP.branch(0),
    ...OP.end,
    ...OP.end,
  ];
  return {
    name: "update",
    parameters: [...pointers.map(() => "i32" as const), "i32", ...rule.scalars.map(() => "f32" as const)],
    results: [],
    locals: [
      "i32",
      ...Array.from({ length: vectors.locals }, () => FOUR.type),
      ...Array.from({ length: singles.locals }, () => ONE.type),
    ],
    code: [
      ...vectors.prologue,
      ...setEnd([...OP.localGet(elements), ...OP.i32Const(-4), ...OP.i32And]),
      ...loop(vectors),
      ...singles.prologue,
      ...setEnd([...OP.localGet(elements), ...OP.i32Const(3), ...OP.i32And]),
      ...loop(singles),
    ],
  };
}

/** The number of a local variable: every value of the formula has one. */
type Local = number;

/** The formula of a rule as code of one width. */
class Formula {
  readonly width: Width;
  /** Before the loop: scalars and constants, spread. */
  readonly prologue: number[] = [];
  /** From the loads to the stores of one turn of the loop. */
  readonly body: number[] = [];
  locals = 0;
  readonly #first: Local;
  readonly #constants = new Map<number, Local>();

  constructor(rule: UpdateRule, width: Width, first: Local) {
    this.width = width;
    this.#first = first;
    const scalarPlace = 3 + rule.slots.length;
    const spread = (scalar: number): Local =>
      this.#set(this.prologue, [...OP.localGet(scalarPlace + scalar), ...width.spread]);
    const load = (pointer: number): Local => this.#set(this.body, [...OP.localGet(pointer), ...width.load]);
    const before = {
      parameter: load(0),
      gradient: load(1),
      slots: Object.fromEntries(rule.slots.map((slot, i) => [slot, load(2 + i)])),
      scalars: Object.fromEntries(rule.scalars.map((scalar, i) => [scalar, spread(i)])),
    };
    const after = rule.next(this.#math, before);
    this.#store(0, after.parameter);
    for (const [i, slot] of rule.slots.entries()) this.#store(2 + i, valueAt(after.slots, slot));
  }

  get #math(): Arithmetic<Local> {
    const { add, sub, mul, div, sqrt } = this.width;
    return {
      constant: (value) => this.#constant(value),
      add: (a, b) => this.#operate(add, a, b),
      sub: (a, b) => this.#operate(sub, a, b),
      mul: (a, b) => this.#operate(mul, a, b),
      div: (a, b) => this.#operate(div, a, b),
      sqrt: (a) => this.#operate(sqrt, a),
    };
  }

  #constant(value: number): Local {
    const known = this.#constants.get(value);
    if (known !== undefined) return known;
    const local = this.#set(this.prologue, [...OP.f32Const(value), ...this.width.spread]);
    this.#constants.set(value, local);
    return local;
  }

  #operate(operator: readonly number[], ...operands: readonly Local[]): Local {
    return this.#set(this.body, [...operands.flatMap((operand) => OP.localGet(operand)), ...operator]);
  }

  #set(code: number[], value: readonly number[]): Local {
    const local = this.#first + this.locals++;
    code.push(...value, ...OP.localSet(local));
    return local;
  }

  #store(pointer: number, value: Local): void {
    this.body.push(...OP.localGet(pointer), ...OP.localGet(value), ...this.width.store);
  }
}
