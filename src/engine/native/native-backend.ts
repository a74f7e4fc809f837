/** The native back end: programs lowered to ONNX and run by ONNX Runtime on the CPU. */
import { availableParallelism } from "node:os";
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { KasminaError } from "../../base/errors.js";
import { formatSpec, sameSpec, type Tensor, type TensorSpec, type Tensors } from "../../contracts/tensor.js";
import type { Backend, BackendStats, Program, State } from "../backend.js";
import { lowerProgram } from "../onnx/lower.js";
import type { LoweredProgram, ProgramInput, ProgramOutput, TracedProgram } from "../trace.js";
import { loadOrt, type Ort } from "./ort.js";
import { createSession, runError, runSession, type SessionOptions } from "./session.js";
import { type Block, NativeState, newData, ortTensor } from "./state.js";

export interface NativeOptions {
  /** Threads of one operator, 1 to 256. Default: all cores. Runs are bit for bit the same at the same number only. */
  readonly threads?: number;
  /** Whether idle threads wait in a loop. Default false: on a shared machine the loop takes the time of others. */
  readonly spinning?: boolean;
}

/** Sessions kept for topologies that come back; those that no program uses are closed beyond it, oldest first. */
const MAX_CACHED_SESSIONS = 32;

/** Opens the native back end. @throws KasminaError `engine` where onnxruntime-node does not load */
export async function createNativeBackend(options: NativeOptions = {}): Promise<Backend> {
  const threads = options.threads ?? availableParallelism();
  if (!Number.isInteger(threads) || threads < 1 || threads > 256) {
    throw new KasminaError(
      "invalid_argument",
      `threads must be a whole number from 1 to 256, got ${threads}`,
    );
  }
  return new NativeBackend(await loadOrt(), { threads, spinning: options.spinning ?? false });
}

interface Entry {
  readonly lowered: LoweredProgram;
  readonly session: Promise<InferenceSession>;
  users: number;
}

class NativeBackend implements Backend {
  readonly name = "native";
  readonly description: string;
  readonly #ort: Ort;
  readonly #options: SessionOptions;
  #compiled = 0;
  #cacheHits = 0;
  /** By the model's digest, the least recently used first. */
  readonly #entries = new Map<string, Entry>();

  constructor(ort: Ort, options: SessionOptions) {
    this.#ort = ort;
    this.#options = options;
    const { threads } = options;
    this.description = `onnxruntime-node ${ort.env.versions.node ?? ""} on the CPU, ${threads} ${threads === 1 ? "thread" : "threads"}`;
  }

  get stats(): BackendStats {
    return { compiled: this.#compiled, cacheHits: this.#cacheHits };
  }

  async compile(traced: TracedProgram): Promise<Program> {
    const { name } = traced.definition;
    const lowered = traced.lowered ?? lowerProgram(name, traced);
    const entry = this.#entryFor(name, lowered);
    entry.users++;
    this.#evict(); // only now: an entry without a user would be closed under the program that is to use it
    try {
      const session = await entry.session;
      return new NativeProgram(this.#ort, traced, entry.lowered, session, () => {
        entry.users--;
        this.#evict();
      });
    } catch (error) {
      this.#entries.delete(lowered.digest);
      throw error;
    }
  }

  createState(): State {
    return new NativeState(this.#ort);
  }

  async dispose(): Promise<void> {
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    await Promise.all(entries.map(close));
  }

  #entryFor(name: string, lowered: LoweredProgram): Entry {
    const known = this.#entries.get(lowered.digest);
    if (known) {
      this.#cacheHits++;
      this.#entries.delete(lowered.digest);
      this.#entries.set(lowered.digest, known);
      return known;
    }
    this.#compiled++;
    const session = createSession(this.#ort, name, lowered, this.#options);
    const entry = { lowered, session, users: 0 };
    this.#entries.set(lowered.digest, entry);
    return entry;
  }

  #evict(): void {
    for (const [digest, entry] of this.#entries) {
      if (this.#entries.size <= MAX_CACHED_SESSIONS) return;
      if (entry.users > 0) continue;
      this.#entries.delete(digest);
      void close(entry);
    }
  }
}

async function close(entry: Entry): Promise<void> {
  const session = await entry.session.catch(() => undefined);
  await session?.release();
}

/** One input of the model: state laid end to end, or one tensor of any role. */
interface Feed {
  readonly id: string;
  readonly shape: readonly number[];
  readonly inputs: readonly ProgramInput[];
  /** State that the program replaces. */
  readonly block?: readonly string[];
}

/** One output of the model: the new state of a block, or what the caller reads. */
type Fetch = { readonly id: string; readonly shape: readonly number[] } & (
  | { readonly block: readonly string[] }
  | { readonly output: ProgramOutput }
);

/** A tensor of the state as the model takes it. */
type Source = (shape: readonly number[]) => OrtTensor;

/** Where the state of a program lies, as long as the layout is the same. */
interface Bound {
  readonly state: NativeState;
  readonly layout: number;
  /** For each feed; undefined for what the caller gives. */
  readonly sources: readonly (Source | undefined)[];
  /** For each fetch; undefined for what the caller reads. */
  readonly targets: readonly (Block | undefined)[];
}

class NativeProgram implements Program {
  readonly traced: TracedProgram;
  readonly #ort: Ort;
  readonly #session: InferenceSession;
  readonly #feeds: readonly Feed[];
  readonly #fetches: readonly Fetch[];
  readonly #onDispose: () => void;
  #bound: Bound | undefined;
  #isDisposed = false;

  constructor(
    ort: Ort,
    traced: TracedProgram,
    lowered: LoweredProgram,
    session: InferenceSession,
    onDispose: () => void,
  ) {
    this.#ort = ort;
    this.traced = traced;
    this.#fetches = lowered.outputs.map(({ shape, places }, i) =>
      fetchOf(`o${i}`, shape, places.map(at(traced.outputs))),
    );
    const replaced = new Set(this.#fetches.flatMap((fetch) => ("block" in fetch ? fetch.block : [])));
    this.#feeds = lowered.inputs.map(({ shape, places }, i) => {
      const inputs = places.map(at(traced.inputs));
      const names = inputs.map(({ name }) => name);
      const isBlock = inputs.every(({ role, name }) => role === "state" && replaced.has(name));
      return { id: `i${i}`, shape, inputs, ...(isBlock && { block: names }) };
    });
    this.#session = session;
    this.#onDispose = onDispose;
  }

  async run(state: State, batch: Tensors, controls: Tensors): Promise<Readonly<Record<string, Tensor>>> {
    const { name } = this.traced.definition;
    if (this.#isDisposed) throw new KasminaError("illegal_state", `program ${name} is disposed`);
    if (!(state instanceof NativeState)) {
      throw new KasminaError("engine", "this state belongs to another back end");
    }
    return state.exclusively(() => this.#run(state, batch, controls));
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#onDispose();
  }

  async #run(state: NativeState, batch: Tensors, controls: Tensors): Promise<Record<string, Tensor>> {
    const { sources, targets } = this.#bind(state);
    const feeds: Record<string, OrtTensor> = {};
    for (const [i, { id, shape, inputs }] of this.#feeds.entries()) {
      feeds[id] = sources[i]?.(shape) ?? this.#fromCaller(inputs, batch, controls);
    }
    const fetches: Record<string, OrtTensor> = {};
    const read: Record<string, Tensor> = {};
    for (const [i, fetch] of this.#fetches.entries()) {
      const { id, shape } = fetch;
      const block = targets[i];
      if (block) fetches[id] = block.target(shape);
      if (!("output" in fetch)) continue;
      const { output } = fetch;
      const tensor = { shape: output.shape, dtype: output.dtype, data: newData(output) };
      fetches[id] = ortTensor(this.#ort, { ...tensor, shape });
      read[output.name] = tensor;
    }
    try {
      await runSession(this.#session, feeds, fetches);
    } catch (error) {
      throw runError(this.traced, error);
    }
    for (const block of targets) block?.swap();
    return read;
  }

  /** Looks up where the program's state lies: once, until something is moved, added or removed there. */
  #bind(state: NativeState): Bound {
    if (this.#bound?.state === state && this.#bound.layout === state.layout) return this.#bound;
    for (const input of this.#feeds.flatMap(({ inputs }) => inputs))
      if (input.role === "state") this.#check(input, state.spec(input.name));
    const targets = this.#fetches.map((fetch) => ("block" in fetch ? state.block(fetch.block) : undefined));
    const sources = this.#feeds.map(({ block, inputs }): Source | undefined => {
      const from = block && state.block(block);
      if (from) return (shape) => from.source(shape);
      const [input] = inputs;
      return input?.role === "state" ? () => state.source(input.name) : undefined;
    });
    this.#bound = { state, layout: state.layout, sources, targets };
    return this.#bound;
  }

  #fromCaller([input]: readonly ProgramInput[], batch: Tensors, controls: Tensors): OrtTensor {
    if (!input) throw new RangeError("an input of the model is empty");
    const given = input.role === "batch" ? batch : controls;
    return ortTensor(this.#ort, this.#check(input, given[input.name]));
  }

  #check<T extends TensorSpec>(input: ProgramInput, given: T | undefined): T {
    if (given && sameSpec(input, given)) return given;
    const needs = `${this.traced.definition.name} needs ${input.role} ${input.name} ${formatSpec(input)}`;
    const found = given ? `got ${formatSpec(given)}` : "which is missing";
    throw new KasminaError("engine", `${needs}, ${found}`);
  }
}

function fetchOf(id: string, shape: readonly number[], outputs: readonly ProgramOutput[]): Fetch {
  const [output] = outputs;
  if (output?.role === "output") return { id, shape, output };
  return { id, shape, block: outputs.map(({ name }) => name) };
}

/** What stands at a place. */
function at<T>(list: readonly T[]): (place: number) => T {
  return (place) => {
    const one = list[place];
    if (one === undefined) throw new RangeError(`the program has no tensor ${place}`);
    return one;
  };
}
