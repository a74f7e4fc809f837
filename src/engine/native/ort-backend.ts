/** The back end of ONNX Runtime over state in this process's memory: programs lowered to ONNX and run by its CPU or its CUDA provider. */
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { KasminaError } from "../../base/errors.js";
import {
  formatSpec,
  sameSpec,
  type Tensor,
  type TensorData,
  type TensorSpec,
  type Tensors,
} from "../../contracts/tensor.js";
import type { Backend, BackendStats, Program, State } from "../backend.js";
import { asMemoryState, MemoryState, type Region } from "../memory-state.js";
import { lowerProgram } from "../onnx/lower.js";
import type { LoweredProgram, ProgramInput, ProgramOutput, TracedProgram } from "../trace.js";
import { BoundUpdate } from "../update/bound-update.js";
import type { Ort } from "./ort.js";
import { createSession, freeNow, keepFreed, ortTensor, runError, type SessionOptions } from "./session.js";
import { SessionCache } from "./session-cache.js";

export class OrtBackend implements Backend {
  readonly name: SessionOptions["engine"];
  readonly description: string;
  readonly #ort: Ort;
  readonly #options: SessionOptions;
  readonly #sessions = new SessionCache();

  /** @param where it runs, for people */
  constructor(ort: Ort, options: SessionOptions, where: string) {
    this.#ort = ort;
    this.#options = options;
    this.name = options.engine;
    this.description = `onnxruntime-node ${ort.env.versions.node ?? ""} on ${where}`;
  }

  get stats(): BackendStats {
    return this.#sessions.stats;
  }

  async compile(traced: TracedProgram): Promise<Program> {
    const { name } = traced.definition;
    const known = traced.lowered?.target === "cpu" ? traced.lowered : undefined;
    const asked = known ?? lowerProgram(name, traced);
    const { session, lowered, release } = await this.#sessions.lease(asked, () =>
      createSession(this.#ort, name, asked, this.#options),
    );
    return new OrtProgram(this.#ort, this.name, traced, lowered, session, release);
  }

  createState(): State {
    return new MemoryState();
  }

  dispose(): Promise<void> {
    return this.#sessions.dispose();
  }
}

/** One input of the model: parameters end to end, or one tensor of any role. */
interface Feed {
  readonly id: string;
  readonly shape: readonly number[];
  readonly inputs: readonly ProgramInput[];
}

/** One output of the model: gradients end to end, or one tensor of any role. */
interface Fetch {
  readonly id: string;
  readonly shape: readonly number[];
  readonly outputs: readonly ProgramOutput[];
}

/** What the tensors of the model are for a state, as long as its layout is the same. */
interface Bound {
  readonly state: MemoryState;
  readonly layout: number;
  readonly update: BoundUpdate | undefined;
  /** Of the state, in place; what comes from the caller is added at each run. */
  readonly feeds: Record<string, OrtTensor>;
  /** Gradients, in place; all else ONNX Runtime makes. */
  readonly fetches: Readonly<Record<string, OrtTensor | null>>;
}

class OrtProgram implements Program {
  readonly traced: TracedProgram;
  readonly #ort: Ort;
  readonly #engine: SessionOptions["engine"];
  readonly #session: InferenceSession;
  readonly #feeds: readonly Feed[];
  readonly #given: readonly Feed[];
  readonly #fetches: readonly Fetch[];
  readonly #onDispose: () => void;
  #bound: Bound | undefined;
  #isDisposed = false;

  constructor(
    ort: Ort,
    engine: SessionOptions["engine"],
    traced: TracedProgram,
    lowered: LoweredProgram,
    session: InferenceSession,
    onDispose: () => void,
  ) {
    this.#ort = ort;
    this.#engine = engine;
    this.traced = traced;
    this.#feeds = lowered.inputs.map(({ shape, places }, i) => {
      return { id: `i${i}`, shape, inputs: places.map(at(traced.inputs)) };
    });
    this.#given = this.#feeds.filter(({ inputs: [input] }) => input?.role !== "state");
    this.#fetches = lowered.outputs.map(({ shape, places }, i) => {
      return { id: `o${i}`, shape, outputs: places.map(at(traced.outputs)) };
    });
    this.#session = session;
    this.#onDispose = onDispose;
  }

  async run(state: State, batch: Tensors, controls: Tensors): Promise<Readonly<Record<string, Tensor>>> {
    const { name } = this.traced.definition;
    if (this.#isDisposed) throw new KasminaError("illegal_state", `program ${name} is disposed`);
    const memory = asMemoryState(state);
    return memory.exclusively(() => this.#run(memory, batch, controls));
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#onDispose();
  }

  async #run(state: MemoryState, batch: Tensors, controls: Tensors): Promise<Record<string, Tensor>> {
    const { feeds, fetches, update } = this.#bind(state);
    for (const { id, inputs } of this.#given) feeds[id] = this.#fromCaller(inputs, batch, controls);
    const settings = update?.settingsFrom(controls, this.traced.definition.name);
    let results: Readonly<Record<string, OrtTensor>>;
    try {
      results = await this.#session.run(feeds, fetches);
    } catch (error) {
      throw runError(this.traced, error, this.#engine);
    }
    if (settings) update?.run(settings);
    return this.#take(state, results);
  }

  /** Puts new state in its place; gives what the caller reads. Gradients are where they belong already. */
  #take(state: MemoryState, results: Readonly<Record<string, OrtTensor>>): Record<string, Tensor> {
    const read: Record<string, Tensor> = {};
    const copies: ArrayBufferLike[] = [];
    for (const { id, outputs } of this.#fetches) {
      const [output] = outputs;
      const result = results[id];
      if (!output || !result) throw new KasminaError("engine", `ONNX Runtime returned no ${id}`);
      const { role, name, shape, dtype } = output;
      const data = result.data as TensorData;
      if (role === "state") state.get(name).data.set(data);
      if (role === "output") read[name] = { shape, dtype, data };
      else copies.push(data.buffer);
    }
    freeNow(copies);
    return read;
  }

  /** Looks up where the program's state lies: once, until something is moved, added or removed there. */
  #bind(state: MemoryState): Bound {
    if (this.#bound?.state === state && this.#bound.layout === state.layout) return this.#bound;
    for (const input of this.traced.inputs)
      if (input.role === "state") this.#check(input, state.find(input.name)?.spec);
    const isGradient = ({ outputs: [output] }: Fetch) => output?.role === "gradient";
    const gradients = this.#fetches.filter(isGradient);
    const others = this.#fetches.filter((fetch) => !isGradient(fetch));
    const lists = gradients.map(({ outputs }) => outputs.map(({ name }) => name));
    const { update: plan } = this.traced.definition;
    const update = plan && lists.length > 0 ? new BoundUpdate(plan, state, lists) : undefined;
    const regions = update?.regions ?? [];
    keepFreed(regions.reduce((sum, { gradients: { byteLength } }) => sum + byteLength, 0));
    const targets = gradients.map(({ id, shape }, i): [string, OrtTensor] => {
      const data = regions[i]?.gradients ?? new Float32Array();
      return [id, ortTensor(this.#ort, { shape, dtype: "float32", data })];
    });
    const ownFeeds = this.#feeds.filter(({ inputs: [input] }) => input?.role === "state");
    const feeds = ownFeeds.map((feed): [string, OrtTensor] => [feed.id, this.#source(state, feed, regions)]);
    this.#bound = {
      state,
      layout: state.layout,
      update,
      feeds: Object.fromEntries(feeds),
      fetches: {
        ...Object.fromEntries(targets),
        ...Object.fromEntries(others.map(({ id }) => [id, null])),
      },
    };
    return this.#bound;
  }

  /** State as the model takes it: one tensor, or the parameters of a region. */
  #source(state: MemoryState, { shape, inputs }: Feed, regions: readonly Region[]): OrtTensor {
    const entries = inputs.map(({ name }) => state.get(name));
    const [first] = entries;
    if (!first) throw new RangeError("an input of the model is empty");
    if (entries.length === 1) return ortTensor(this.#ort, { ...first.spec, data: first.data });
    const rows = regions.flatMap(({ rows: [parameters] }) => parameters ?? []);
    const row = rows.find(
      ({ entries: known }) => known.length === entries.length && known.every((one, i) => one === entries[i]),
    );
    if (!row) throw new RangeError("parameters of the model do not lie end to end");
    return ortTensor(this.#ort, { shape, dtype: "float32", data: row.data });
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

/** What stands at a place. */
function at<T>(list: readonly T[]): (place: number) => T {
  return (place) => {
    const one = list[place];
    if (one === undefined) throw new RangeError(`the program has no tensor ${place}`);
    return one;
  };
}
