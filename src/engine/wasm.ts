/**
 * The portable back end: jax-js's own compiler to WebAssembly. It runs wherever WebAssembly does, in a browser
 * too; Node 20 has no `Worker` global, so it uses one thread there.
 */
import {
  defaultDevice,
  init,
  type Array as JaxArray,
  jit,
  numpy as np,
  type OwnedFunction,
} from "@jax-js/jax";
import { KasminaError, messageOf } from "../base/errors.js";
import { formatSpec, sameSpec, type Tensor, type TensorData, type Tensors } from "../contracts/tensor.js";
import type { Backend, BackendStats, Program, State } from "./backend.js";
import { watchTraces } from "./release-trace.js";
import { flatFunction, type ProgramInput, type TracedProgram } from "./trace.js";

interface FlatFunction {
  readonly run: OwnedFunction<(...arrays: JaxArray[]) => JaxArray[]>;
  /** Frees what the trace at the first run has left. */
  readonly release: () => void;
}

/** Compiled functions kept for topologies that come back; beyond it the least recently used is freed. */
const MAX_CACHED_PROGRAMS = 64;

/** Opens the WebAssembly back end. */
export async function createWasmBackend(): Promise<Backend> {
  const devices = await init("wasm");
  if (!devices.includes("wasm")) throw new KasminaError("engine", "WebAssembly is not available here");
  defaultDevice("wasm");
  return new WasmBackend();
}

class WasmBackend implements Backend {
  readonly name = "wasm";
  readonly description = "@jax-js/jax on WebAssembly, 1 thread";
  #compiled = 0;
  #cacheHits = 0;
  readonly #functions = new Map<string, FlatFunction>();

  get stats(): BackendStats {
    return { compiled: this.#compiled, cacheHits: this.#cacheHits };
  }

  async compile(traced: TracedProgram): Promise<Program> {
    return new WasmProgram(traced, this.#functionFor(traced));
  }

  createState(): State {
    return new WasmState();
  }

  async dispose(): Promise<void> {
    for (const { run } of this.#functions.values()) run.dispose();
    this.#functions.clear();
  }

  #functionFor(traced: TracedProgram): FlatFunction {
    const known = this.#functions.get(traced.digest);
    if (known) {
      this.#cacheHits++;
      this.#functions.delete(traced.digest);
      this.#functions.set(traced.digest, known);
      return known;
    }
    this.#compiled++;
    const { run, release } = watchTraces(flatFunction(traced.definition, traced.inputs));
    const compiled = { run: jit(run) as unknown as FlatFunction["run"], release };
    this.#functions.set(traced.digest, compiled);
    this.#evict();
    return compiled;
  }

  #evict(): void {
    for (const [digest, { run }] of this.#functions) {
      if (this.#functions.size <= MAX_CACHED_PROGRAMS) return;
      this.#functions.delete(digest);
      run.dispose();
    }
  }
}

class WasmProgram implements Program {
  readonly traced: TracedProgram;
  readonly #compiled: FlatFunction;

  constructor(traced: TracedProgram, compiled: FlatFunction) {
    this.traced = traced;
    this.#compiled = compiled;
  }

  async run(state: State, batch: Tensors, controls: Tensors): Promise<Readonly<Record<string, Tensor>>> {
    const wasmState = asWasmState(state);
    const { inputs, outputs, definition } = this.traced;
    for (const input of inputs) checkInput(definition.name, input, wasmState, batch, controls);
    const arrays = inputs.map((input) =>
      input.role === "state"
        ? wasmState.take(input.name)
        : toArray(input.role === "batch" ? batch[input.name] : controls[input.name]),
    );
    let results: JaxArray[];
    try {
      results = this.#compiled.run(...arrays);
    } catch (error) {
      throw new KasminaError("engine", `running ${definition.name} on wasm: ${messageOf(error)}`, {
        cause: error,
      });
    } finally {
      this.#compiled.release();
    }
    const read: Record<string, Tensor> = {};
    for (const [i, output] of outputs.entries()) {
      const array = results[i];
      if (!array) throw new KasminaError("engine", `${definition.name} returned no ${output.name}`);
      if (output.role === "state") wasmState.replace(output.name, array);
      else read[output.name] = await toTensor(array);
    }
    return read;
  }

  dispose(): void {
    // The compiled function belongs to the back end's cache.
  }
}

class WasmState implements State {
  readonly #arrays = new Map<string, JaxArray>();

  get paths(): readonly string[] {
    return [...this.#arrays.keys()];
  }

  has(path: string): boolean {
    return this.#arrays.has(path);
  }

  /** The array at `path`, with a reference for the caller. */
  take(path: string): JaxArray {
    return this.#get(path).ref;
  }

  spec(path: string): { shape: readonly number[]; dtype: string } {
    const array = this.#get(path);
    return { shape: array.shape, dtype: array.dtype };
  }

  replace(path: string, array: JaxArray): void {
    this.#arrays.get(path)?.dispose();
    this.#arrays.set(path, array);
  }

  async read(paths: readonly string[] = this.paths): Promise<Tensors> {
    const out: Record<string, Tensor> = {};
    for (const path of paths) out[path] = await toTensor(this.take(path));
    return out;
  }

  write(tensors: Tensors): void {
    for (const [path, tensor] of Object.entries(tensors)) this.replace(path, toArray(tensor));
  }

  rename(from: string, to: string): void {
    const array = this.#get(from);
    if (this.#arrays.has(to)) throw new KasminaError("engine", `state already has ${to}`);
    this.#arrays.delete(from);
    this.#arrays.set(to, array);
  }

  remove(paths: readonly string[]): void {
    for (const path of paths) {
      this.#get(path).dispose();
      this.#arrays.delete(path);
    }
  }

  dispose(): void {
    this.remove(this.paths);
  }

  #get(path: string): JaxArray {
    const array = this.#arrays.get(path);
    if (!array) throw new KasminaError("engine", `state has no ${path}`);
    return array;
  }
}

function asWasmState(state: State): WasmState {
  if (state instanceof WasmState) return state;
  throw new KasminaError("engine", "this state belongs to another back end");
}

function checkInput(
  program: string,
  input: ProgramInput,
  state: WasmState,
  batch: Tensors,
  controls: Tensors,
): void {
  const given =
    input.role === "state"
      ? state.has(input.name) && state.spec(input.name)
      : (input.role === "batch" ? batch : controls)[input.name];
  if (!given)
    throw new KasminaError(
      "engine",
      `${program} needs ${input.role} ${input.name} ${formatSpec(input)}, which is missing`,
    );
  if (!sameSpec(input, given as Tensor)) {
    throw new KasminaError(
      "engine",
      `${program} needs ${input.role} ${input.name} ${formatSpec(input)}, got ${formatSpec(given as Tensor)}`,
    );
  }
}

function toArray(tensor: Tensor | undefined): JaxArray {
  if (!tensor) throw new KasminaError("engine", "tensor is missing");
  const flat =
    tensor.dtype === "bool"
      ? np.array(Int32Array.from(tensor.data)).astype(np.bool)
      : np.array(tensor.data as Float32Array<ArrayBuffer>, { dtype: np[tensor.dtype] });
  return flat.reshape([...tensor.shape]);
}

/** Consumes the array. */
async function toTensor(array: JaxArray): Promise<Tensor> {
  const { shape, dtype } = array;
  const data = (await array.data()) as unknown as TensorData;
  if (dtype === "bool")
    return { shape: [...shape], dtype: "bool", data: Uint8Array.from(data, (value) => (value ? 1 : 0)) };
  return { shape: [...shape], dtype: dtype as Tensor["dtype"], data };
}
