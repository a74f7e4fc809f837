/** Turns jax-js's own Jaxpr into the plain {@link Ir}: nested jits inlined, simplified, variables numbered in order. */
import type { ClosedJaxpr } from "@jax-js/jax";
import { KasminaError } from "../base/errors.js";
import {
  type DType,
  formatSpec,
  type Tensor,
  type TensorData,
  type TensorSpec,
} from "../contracts/tensor.js";
import {
  type Atom,
  type Equation,
  type Ir,
  type ParamsOf,
  PRIMITIVES,
  type Primitive,
  type Variable,
} from "./ir.js";

const KNOWN: ReadonlySet<string> = new Set(PRIMITIVES);
const DTYPES: ReadonlySet<string> = new Set(["float32", "int32", "uint32", "bool"] satisfies DType[]);

type JaxAtom = ClosedJaxpr["jaxpr"]["outs"][number];

/** @throws KasminaError `engine` for a primitive or dtype that the IR does not know */
export function irFromJaxpr(closed: ClosedJaxpr): Ir {
  const jaxpr = closed.jaxpr.flatten().simplify();
  const ids = new Map<object, number>();
  const variable = (binder: object, aval: { shape: number[]; dtype: string }): Variable => {
    let id = ids.get(binder);
    if (id === undefined) {
      id = ids.size;
      ids.set(binder, id);
    }
    return { kind: "variable", id, ...specFrom(aval) };
  };
  const atom = (value: JaxAtom): Atom =>
    "value" in value
      ? { kind: "literal", value: Number(value.value), ...specFrom(value.aval) }
      : variable(value, value.aval);

  const numConstants = closed.consts.length;
  const binders = jaxpr.inBinders.map((binder) => variable(binder, binder.aval));
  const equations = jaxpr.eqns.map((eqn): Equation => {
    const inputs = eqn.inputs.map(atom);
    if (!KNOWN.has(eqn.primitive)) {
      throw new KasminaError(
        "engine",
        `unsupported primitive ${eqn.primitive}(${inputs.map(formatSpec).join(", ")})`,
      );
    }
    const primitive = eqn.primitive as Primitive;
    return {
      primitive,
      inputs,
      params: plainParams(eqn.params) as ParamsOf<Primitive>,
      outputs: eqn.outBinders.map((binder) => variable(binder, binder.aval)),
    };
  });
  const outputs = jaxpr.outs.map(atom);
  // Tracing a gradient leaves whole tensors of zeros behind that nothing reads.
  const read = new Set([...equations.flatMap(({ inputs }) => inputs), ...outputs].map(idOf));
  const constants = binders.slice(0, numConstants).flatMap((binder, i) => {
    return read.has(binder.id) ? [{ variable: binder, tensor: tensorFrom(closed.consts[i], binder) }] : [];
  });
  return { inputs: binders.slice(numConstants), constants, equations, outputs };
}

function idOf(atom: Atom): number | undefined {
  return atom.kind === "variable" ? atom.id : undefined;
}

function specFrom(aval: { shape: number[]; dtype: string }): TensorSpec {
  if (!DTYPES.has(aval.dtype))
    throw new KasminaError("engine", `unsupported dtype ${aval.dtype}, of shape [${aval.shape}]`);
  return { shape: [...aval.shape], dtype: aval.dtype as DType };
}

function plainParams(params: Record<string, unknown>): Record<string, unknown> {
  return JSON.parse(JSON.stringify(params)) as Record<string, unknown>;
}

interface ReadableArray {
  readonly ref: ReadableArray;
  dataSync(): ArrayBufferView;
}

function tensorFrom(constant: unknown, spec: TensorSpec): Tensor {
  const data = (constant as ReadableArray).ref.dataSync() as TensorData;
  const plain = spec.dtype === "bool" ? Uint8Array.from(data, (value) => (value ? 1 : 0)) : data.slice();
  return { shape: spec.shape, dtype: spec.dtype, data: plain };
}
