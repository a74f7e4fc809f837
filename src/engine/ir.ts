/**
 * The small program that tracing yields: single assignment, one primitive an equation, nested jits inlined.
 * It is plain data (structured-clonable), so it can be lowered in another thread, walked and printed.
 */
import { type DType, formatSpec, type Tensor, type TensorSpec } from "../contracts/tensor.js";

/** All primitives of jax-js 0.1.25 that can stand in a traced program once nested jits are inlined. */
export const PRIMITIVES = [
  "add",
  "mul",
  "idiv",
  "mod",
  "min",
  "max",
  "bit_combine",
  "bit_shift",
  "bit_count",
  "neg",
  "reciprocal",
  "floor",
  "ceil",
  "stop_gradient",
  "cast",
  "bitcast",
  "sin",
  "cos",
  "asin",
  "atan",
  "exp",
  "log",
  "erf",
  "erfc",
  "sqrt",
  "reduce",
  "dot",
  "conv",
  "pool",
  "pool_transpose",
  "compare",
  "where",
  "concatenate",
  "split",
  "random_bits",
  "gather",
  "transpose",
  "broadcast",
  "reshape",
  "flip",
  "shrink",
  "pad",
  "sort",
  "argsort",
  "scatter",
  "triangular_solve",
  "cholesky",
  "lu",
  "jacobi_eigh",
  "fft",
] as const;

export type Primitive = (typeof PRIMITIVES)[number];

type Pair = readonly [number, number];

/** The parameters of each primitive; what is not named here takes none. */
export interface PrimitiveParams {
  readonly bit_combine: { readonly op: "and" | "or" | "xor" };
  readonly bit_shift: { readonly op: "shl" | "shr" };
  readonly cast: { readonly dtype: DType };
  readonly bitcast: { readonly dtype: DType };
  readonly reduce: { readonly op: "Add" | "Mul" | "Min" | "Max"; readonly axis: readonly number[] };
  readonly conv: {
    readonly vmapDims: number;
    readonly strides: readonly number[];
    readonly padding: readonly Pair[];
    readonly lhsDilation: readonly number[];
    readonly rhsDilation: readonly number[];
  };
  readonly pool: { readonly window: readonly number[]; readonly strides: readonly number[] };
  readonly pool_transpose: {
    readonly inShape: readonly number[];
    readonly window: readonly number[];
    readonly strides: readonly number[];
  };
  readonly compare: { readonly op: "less" | "equal" | "not_equal" | "less_equal" };
  readonly concatenate: { readonly axis: number };
  readonly split: { readonly axis: number; readonly sizes: readonly number[] };
  readonly random_bits: { readonly shape: readonly number[]; readonly mode: "xor" | 0 | 1 };
  readonly gather: {
    readonly axis: readonly number[];
    readonly outDim: number;
    readonly uniqueIndices: boolean;
  };
  readonly transpose: { readonly perm: readonly number[] };
  readonly broadcast: { readonly shape: readonly number[]; readonly axis: readonly number[] };
  readonly reshape: { readonly shape: readonly number[] };
  readonly flip: { readonly axis: readonly number[] };
  readonly shrink: { readonly slice: readonly Pair[] };
  readonly pad: { readonly width: readonly Pair[] };
  readonly scatter: {
    readonly op: string;
    readonly shape: readonly number[];
    readonly axis: readonly number[];
    readonly outDim: number;
    readonly uniqueIndices: boolean;
  };
  readonly triangular_solve: { readonly unitDiagonal: boolean };
  readonly jacobi_eigh: { readonly maxSweeps: number; readonly tolerance: number };
  readonly fft: { readonly factors: readonly number[]; readonly inverse: boolean };
}

export type ParamsOf<P extends Primitive> = P extends keyof PrimitiveParams
  ? PrimitiveParams[P]
  : Readonly<Record<string, never>>;

/** A value: the result of an equation, an input, a constant; or a scalar written in place. */
export type Atom = Variable | Literal;

export interface Variable extends TensorSpec {
  readonly kind: "variable";
  /** Unique in its program, counted from 0 in order of appearance. */
  readonly id: number;
}

export interface Literal extends TensorSpec {
  readonly kind: "literal";
  readonly value: number;
}

export interface Equation<P extends Primitive = Primitive> {
  readonly primitive: P;
  readonly inputs: readonly Atom[];
  readonly params: ParamsOf<P>;
  readonly outputs: readonly Variable[];
}

export interface Ir {
  readonly inputs: readonly Variable[];
  readonly constants: readonly { readonly variable: Variable; readonly tensor: Tensor }[];
  readonly equations: readonly Equation[];
  readonly outputs: readonly Atom[];
}

/** The program as text, one equation a line; equal programs print equally. */
export function printIr(ir: Ir): string {
  const name = (atom: Atom): string => (atom.kind === "literal" ? `${atom.value}` : `%${atom.id}`);
  const bind = (variable: Variable): string => `${name(variable)}:${formatSpec(variable)}`;
  const lines = ir.equations.map((equation) => {
    const params = Object.entries(equation.params).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
    const head = params.length > 0 ? `${equation.primitive}{${params.join(" ")}}` : equation.primitive;
    return `  ${equation.outputs.map(bind).join(", ")} = ${head} ${equation.inputs.map(name).join(" ")}`;
  });
  const constants = ir.constants.map(({ variable }) => `  ${bind(variable)} = constant`);
  return [
    `(${ir.inputs.map(bind).join(", ")}) {`,
    ...constants,
    ...lines,
    `  return ${ir.outputs.map(name).join(", ")}`,
    "}",
  ].join("\n");
}

/** For each output, the indices of the inputs that it may depend on: reachability along the equations. */
export function dependencies(ir: Ir): readonly ReadonlySet<number>[] {
  const reach = new Map<number, ReadonlySet<number>>(
    ir.inputs.map((variable, i) => [variable.id, new Set([i])]),
  );
  const empty: ReadonlySet<number> = new Set();
  const of = (atom: Atom): ReadonlySet<number> =>
    atom.kind === "variable" ? (reach.get(atom.id) ?? empty) : empty;
  for (const equation of ir.equations) {
    const union = new Set(equation.inputs.flatMap((atom) => [...of(atom)]));
    for (const output of equation.outputs) reach.set(output.id, union);
  }
  return ir.outputs.map(of);
}
