/**
 * Trace once: runs a pure function on abstract arrays of `@jax-js/jax` and keeps the program it performed.
 *
 * The function follows jax-js's ownership rule: a value handed to a function is consumed; write `x.ref` where it
 * is used again. Values in the records `state`, `batch` and `controls` may be left unused.
 */
import { type Array as JaxArray, makeJaxpr, numpy as np, tree } from "@jax-js/jax";
import { sha256Hex } from "../base/bytes.js";
import { KasminaError, messageOf } from "../base/errors.js";
import { formatSpec, sizeOf, type TensorSpec, type TensorSpecs } from "../contracts/tensor.js";
import { countFlops } from "./flops.js";
import { irFromJaxpr } from "./from-jaxpr.js";
import { type Ir, printIr } from "./ir.js";
import { watchTraces } from "./release-trace.js";
import { flopsOfElement, type UpdatePlan } from "./update/rule.js";

// The types of jax-js name these. Where nothing declares them, as in a project for Node without the DOM, or for ES2023, its users'
// compilers would complain; where something does, these add nothing.
declare global {
  interface GPUDevice {}
  interface GPUBuffer {}
  interface Float16Array<TArrayBuffer extends ArrayBufferLike = ArrayBufferLike>
    extends ArrayLike<number>,
      Iterable<number> {}
}

export type { JaxArray };

/** Arrays by name, inside a traced function. */
export type Arrays = Record<string, JaxArray>;

/** What a traced function returns: the state paths it replaces, its gradients, and what the caller reads after the run. */
export interface ProgramResult {
  readonly state: Arrays;
  /** By the state path of the parameter, each of its shape. They stay in the back end, which updates the parameters by them. */
  readonly gradients?: Arrays;
  readonly outputs: Arrays;
}

/** One pure function with the specs of everything it takes. */
export interface ProgramDefinition {
  /** Named in every error about this program. */
  readonly name: string;
  readonly state: TensorSpecs;
  readonly batch: TensorSpecs;
  readonly controls: TensorSpecs;
  /** What becomes of the gradients; a program that returns some has one. It is no part of what is traced. */
  readonly update?: UpdatePlan;
  /** Owns all arrays in its arguments. */
  readonly run: (state: Arrays, batch: Arrays, controls: Arrays) => ProgramResult;
}

export type InputRole = "state" | "batch" | "controls";

export interface ProgramInput extends TensorSpec {
  readonly role: InputRole;
  readonly name: string;
}

export type OutputRole = "state" | "gradient" | "output";

export interface ProgramOutput extends TensorSpec {
  readonly role: OutputRole;
  /** Of a state or gradient the state path. */
  readonly name: string;
}

/** What a model was lowered for: ONNX Runtime's CPU provider, or its WebGPU provider. */
export type LoweringTarget = "cpu" | "webgpu";

/** A program in the form in which a back end compiles it, made beforehand, in another thread perhaps. Plain data. */
export interface LoweredProgram {
  readonly target: LoweringTarget;
  /** An ONNX model. */
  readonly model: Uint8Array;
  /** Of all values that the model computes, in bytes: an upper bound of what one run needs, some of which share their memory. */
  readonly valueBytes: number;
  /** SHA-256 of the model and of where the program's tensors lie in the model's. */
  readonly digest: string;
  /** The model's inputs `i0`, `i1`, …; together they hold every input of the program once. */
  readonly inputs: readonly LoweredTensor[];
  /** The model's outputs `o0`, `o1`, …; together they hold every output of the program once. */
  readonly outputs: readonly LoweredTensor[];
}

/** One tensor of a model: a tensor of the program, or several of its state end to end, each row-major. */
export interface LoweredTensor {
  readonly shape: readonly number[];
  /** What lies in it, by place in the program's `inputs` or `outputs`. */
  readonly places: readonly number[];
}

/** A definition with the program it performed. Everything but `definition` is plain data. */
export interface TracedProgram {
  readonly definition: ProgramDefinition;
  /** In the order of `ir.inputs`. */
  readonly inputs: readonly ProgramInput[];
  /** In the order of `ir.outputs`. */
  readonly outputs: readonly ProgramOutput[];
  readonly ir: Ir;
  /** Floating point operations of one run, counted from the IR and the update's formula; a multiply–add is two. */
  readonly flops: number;
  /** SHA-256 of the printed IR and its constants: equal programs, whatever their paths are called, share it. */
  readonly digest: string;
  /** Where it was lowered already. */
  readonly lowered?: LoweredProgram;
}

/**
 * Flattens the inputs of a definition in the one order that traced programs use: state, batch, controls, each as its
 * record lists them.
 */
export function inputsOf(definition: ProgramDefinition): ProgramInput[] {
  const role = (name: InputRole, specs: TensorSpecs): ProgramInput[] =>
    Object.keys(specs).map((key) => ({ role: name, name: key, ...pick(specs, key) }));
  return [
    ...role("state", definition.state),
    ...role("batch", definition.batch),
    ...role("controls", definition.controls),
  ];
}

function pick(specs: TensorSpecs, key: string): TensorSpec {
  const spec = specs[key];
  if (!spec) throw new KasminaError("engine", `no spec for input ${key}`);
  return { shape: spec.shape, dtype: spec.dtype };
}

/**
 * The definition as a function of flat arrays, in the order of {@link inputsOf}; `onOutputs` is called with the names
 * of what it returns.
 */
export function flatFunction(
  definition: ProgramDefinition,
  inputs: readonly ProgramInput[],
  onOutputs?: (outputs: Omit<ProgramOutput, keyof TensorSpec>[]) => void,
): (...arrays: JaxArray[]) => JaxArray[] {
  return (...arrays) => {
    const records: Record<InputRole, Arrays> = { state: {}, batch: {}, controls: {} };
    for (const [i, input] of inputs.entries()) {
      const array = arrays[i];
      if (array) records[input.role][input.name] = array;
    }
    const result = definition.run(records.state, records.batch, records.controls);
    const returned = [
      ...rolesOf("state", result.state),
      ...rolesOf("gradient", result.gradients ?? {}),
      ...rolesOf("output", result.outputs),
    ];
    onOutputs?.(returned.map(({ role, name }) => ({ role, name })));
    return returned.map(({ array }) => array);
  };
}

function rolesOf(role: OutputRole, arrays: Arrays) {
  return Object.entries(arrays).map(([name, array]) => ({ role, name, array }));
}

/**
 * Traces a definition. An error inside its function, or an output that does not fit the state it replaces, is
 * rethrown with the definition's name.
 */
export function trace(definition: ProgramDefinition): TracedProgram {
  const inputs = inputsOf(definition);
  let names: Omit<ProgramOutput, keyof TensorSpec>[] = [];
  const flat = watchTraces(
    flatFunction(definition, inputs, (outputs) => {
      names = outputs;
    }),
  );
  const examples = inputs.map((input) => np.zeros([...input.shape], { dtype: np[input.dtype] }));
  let ir: Ir;
  try {
    const { jaxpr } = makeJaxpr(flat.run)(...examples);
    ir = irFromJaxpr(jaxpr);
    jaxpr.dispose();
  } catch (error) {
    throw new KasminaError("engine", `tracing ${definition.name}: ${messageOf(error)}`, { cause: error });
  } finally {
    flat.release();
    tree.dispose(examples);
  }
  const outputs = names.map((output, i): ProgramOutput => {
    const atom = ir.outputs[i];
    if (!atom)
      throw new KasminaError("engine", `tracing ${definition.name}: output ${output.name} is missing`);
    return { ...output, shape: atom.shape, dtype: atom.dtype };
  });
  checkStateOutputs(definition, outputs);
  const flops = countFlops(ir) + updateFlops(definition, outputs);
  return { definition, inputs, outputs, ir, flops, digest: digestOf(ir) };
}

function checkStateOutputs(definition: ProgramDefinition, outputs: readonly ProgramOutput[]): void {
  for (const { role, name, ...output } of outputs) {
    if (role === "output") continue;
    const spec = definition.state[name];
    const got = formatSpec(output);
    const expected = spec ? formatSpec(spec) : "no such state";
    if (got !== expected) {
      throw new KasminaError(
        "engine",
        `${definition.name} returns ${role} ${name} as ${got}, expected ${expected}`,
      );
    }
    if (role === "gradient" && !definition.update?.targets[name]) {
      throw new KasminaError("engine", `${definition.name} has no update for the gradient of ${name}`);
    }
  }
}

/** Each element of a gradient goes through the update's formula once. */
function updateFlops({ update }: ProgramDefinition, outputs: readonly ProgramOutput[]): number {
  if (!update) return 0;
  const updated = outputs.filter(({ role }) => role === "gradient");
  return flopsOfElement(update.rule) * updated.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}

/** FLOPs of one run of the program as it would be if it had no other outputs than those wanted. */
export function flopsFor(
  { definition, ir, outputs }: TracedProgram,
  isWanted: (output: ProgramOutput) => boolean,
): number {
  const atoms = ir.outputs.filter((_, i) => outputs[i] && isWanted(outputs[i]));
  return countFlops(ir, atoms) + updateFlops(definition, outputs.filter(isWanted));
}

function digestOf(ir: Ir): string {
  const constants = ir.constants.map(({ tensor }) =>
    sha256Hex(new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength)),
  );
  return sha256Hex([printIr(ir), ...constants].join("\n"));
}
