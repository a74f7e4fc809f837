/**
 * The back ends of jax-js's own compilers. To WebAssembly, which runs everywhere, in a browser too; Node 20 has no `Worker` global,
 * so it uses one thread there. To WebGPU, which a browser has: a step runs on the device, state and update stay in this process's
 * memory, so parameters go there and gradients come back at each step.
 */
import {
  type Device,
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
import { asMemoryState, MemoryState } from "./memory-state.js";
import { watchTraces } from "./release-trace.js";
import { flatFunction, type ProgramInput, type TracedProgram } from "./trace.js";
import { BoundUpdate } from "./update/bound-update.js";

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
  return new JaxBackend("wasm", "@jax-js/jax on WebAssembly, 1 thread");
}

/**
 * Opens the WebGPU back end of a browser.
 * @throws KasminaError `engine` in Node, and in a browser that gives no adapter
 */
export async function createBrowserGpuBackend(): Promise<Backend> {
  if (!("gpu" in (globalThis.navigator ?? {})))
    throw new KasminaError(
      "engine",
      "the webgpu engine needs a browser with WebGPU, in a page of https or localhost; in Node take gpu",
    );
  if (!(await init("webgpu")).includes("webgpu"))
    throw new KasminaError(
      "engine",
      "the webgpu engine does not start: no GPU was found; take the wasm engine",
    );
  return new JaxBackend("webgpu", "@jax-js/jax on WebGPU");
}

/** Where a back end's arrays are. */
type JaxDevice = Extract<Device, "wasm" | "webgpu">;

/** Arrays that `work` makes, and constants of what it traces, are on that device: jax-js has one default for all. */
function onDevice<T>(device: JaxDevice, work: () => T): T {
  const before = defaultDevice();
  defaultDevice(device);
  try {
    return work();
  } finally {
    defaultDevice(before);
  }
}

class JaxBackend implements Backend {
  readonly name: JaxDevice;
  readonly description: string;
  #compiled = 0;
  #cacheHits = 0;
  readonly #functions = new Map<string, FlatFunction>();

  constructor(device: JaxDevice, description: string) {
    this.name = device;
    this.description = description;
  }

  get stats(): BackendStats {
    return { compiled: this.#compiled, cacheHits: this.#cacheHits };
  }

  async compile(traced: TracedProgram): Promise<Program> {
    if (this.name === "webgpu") refuseWrong(traced);
    return new JaxProgram(this.name, traced, this.#functionFor(traced));
  }

  createState(): State {
    return new MemoryState();
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

/**
 * jax-js 0.1.25 gives wrong gradients of a strided convolution by its input on WebGPU, silently: off by as much as the values, for some
 * sizes (`primitives.conformance.ts` has them). Such a one spreads its first operand, and nothing that comes with Kasmina has one.
 */
function refuseWrong({ definition: { name }, ir }: TracedProgram): void {
  for (const { primitive, inputs, params } of ir.equations) {
    if (primitive !== "conv" || !("lhsDilation" in params)) continue;
    if (params.lhsDilation.every((one) => one === 1)) continue;
    const what = `conv(${inputs.map(formatSpec).join(", ")})`;
    throw new KasminaError(
      "engine",
      `compiling ${name} on the webgpu engine: the gradient of a strided convolution is wrong there, ${what}; the wasm engine has it`,
      { details: { program: name, primitive } },
    );
  }
}

/** What a state is for a program, as long as its layout is the same. */
interface Bound {
  readonly state: MemoryState;
  readonly layout: number;
  readonly update: BoundUpdate | undefined;
}

class JaxProgram implements Program {
  readonly traced: TracedProgram;
  readonly #device: JaxDevice;
  readonly #compiled: FlatFunction;
  /** One list a gradient: each comes as a tensor of its own. */
  readonly #updated: readonly (readonly string[])[];
  #bound: Bound | undefined;

  constructor(device: JaxDevice, traced: TracedProgram, compiled: FlatFunction) {
    this.#device = device;
    this.traced = traced;
    this.#compiled = compiled;
    this.#updated = traced.outputs.flatMap(({ role, name }) => (role === "gradient" ? [[name]] : []));
  }

  async run(state: State, batch: Tensors, controls: Tensors): Promise<Readonly<Record<string, Tensor>>> {
    const memory = asMemoryState(state);
    return memory.exclusively(() => this.#run(memory, batch, controls));
  }

  dispose(): void {
    // The compiled function belongs to the back end's cache.
  }

  async #run(state: MemoryState, batch: Tensors, controls: Tensors): Promise<Record<string, Tensor>> {
    const { inputs, outputs, definition } = this.traced;
    const tensors = inputs.map((input) => inputOf(definition.name, input, state, batch, controls));
    const { update } = this.#bind(state);
    const settings = update?.settingsFrom(controls, definition.name);
    const results = this.#call(tensors);
    const returned = await Promise.all(results.map(toTensor));
    const read: Record<string, Tensor> = {};
    let gradients = 0;
    for (const [i, { role, name }] of outputs.entries()) {
      const tensor = returned[i];
      if (!tensor) throw new KasminaError("engine", `${definition.name} returned no ${name}`);
      if (role === "state") state.get(name).data.set(tensor.data);
      else if (role === "gradient") update?.regions[gradients++]?.gradients.set(tensor.data as Float32Array);
      else read[name] = tensor;
    }
    if (settings) update?.run(settings);
    return read;
  }

  #call(tensors: readonly Tensor[]): JaxArray[] {
    try {
      return onDevice(this.#device, () => this.#compiled.run(...tensors.map(toArray)));
    } catch (error) {
      const problem = `running ${this.traced.definition.name} on ${this.#device}: ${messageOf(error)}`;
      throw new KasminaError("engine", problem, { cause: error });
    } finally {
      this.#compiled.release();
    }
  }

  #bind(state: MemoryState): Bound {
    if (this.#bound?.state === state && this.#bound.layout === state.layout) return this.#bound;
    const { update: plan } = this.traced.definition;
    const update = plan && this.#updated.length > 0 ? new BoundUpdate(plan, state, this.#updated) : undefined;
    this.#bound = { state, layout: state.layout, update };
    return this.#bound;
  }
}

function inputOf(
  program: string,
  input: ProgramInput,
  state: MemoryState,
  batch: Tensors,
  controls: Tensors,
): Tensor {
  const { role, name } = input;
  const given = { state: stateAt(state, name), batch: batch[name], controls: controls[name] }[role];
  if (given && sameSpec(input, given)) return given;
  const needs = `${program} needs ${role} ${name} ${formatSpec(input)}`;
  throw new KasminaError("engine", `${needs}, ${given ? `got ${formatSpec(given)}` : "which is missing"}`);
}

function stateAt(state: MemoryState, path: string): Tensor | undefined {
  const entry = state.find(path);
  return entry && { ...entry.spec, data: entry.data };
}

function toArray(tensor: Tensor): JaxArray {
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
