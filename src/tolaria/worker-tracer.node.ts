/** Traces in a thread of its own, so that the trainer goes on with the old program until the new one is there. */
import { Worker } from "node:worker_threads";
import type { ProgramDefinition, TracedProgram } from "../engine/index.js";
import type { IsolationProof, Topology } from "../kasmina/index.js";
import {
  definitionsOf,
  localTracer,
  type TopologyTracer,
  type TracedTopology,
  type TracingOptions,
} from "./tracer.js";
import {
  type ModuleSource,
  type PlainProgram,
  plainSite,
  type TracingAnswer,
  type TracingRequest,
  type TracingStart,
} from "./tracing-protocol.js";

export interface WorkerTracerOptions {
  /** The host, or the function that makes it. */
  readonly host: ModuleSource;
  /** Default: the blueprints that come with Kasmina. */
  readonly blueprints?: ModuleSource;
  /** Hears why a topology had to be traced on the trainer's own thread. */
  readonly onFallback?: (problem: string) => void;
}

/** Answers kept: the present topologies, and those that may be asked for next. */
const MAX_ANSWERS = 48;

type Settle = (answer: TracingAnswer) => void;

const BUILTIN_BLUEPRINTS: ModuleSource = {
  module: new URL("../nn/index.js", import.meta.url).href,
  name: "builtinBlueprints",
};

/**
 * A tracer in a worker thread. Host and blueprints are given by the modules that export them, since functions cannot
 * be sent to a thread. Whatever it cannot do is done on the caller's thread instead, and told.
 */
export class WorkerTracer implements TopologyTracer {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Settle>();
  /** By question, the one asked last at the end. */
  readonly #answers = new Map<string, Promise<TracingAnswer>>();
  readonly #onFallback: (problem: string) => void;
  #count = 0;
  #failure: string | undefined;

  constructor({ host, blueprints = BUILTIN_BLUEPRINTS, onFallback }: WorkerTracerOptions) {
    this.#onFallback = onFallback ?? (() => undefined);
    this.#worker = new Worker(new URL("./tracing-worker.node.js", import.meta.url), {
      workerData: { host, blueprints } satisfies TracingStart,
    });
    this.#worker.unref();
    this.#worker.on("message", (answer: TracingAnswer) => this.#settle(answer));
    this.#worker.on("error", (error) => this.#fail(error.message));
    this.#worker.on("exit", () => this.#fail("the tracing thread has ended"));
  }

  async trace(topology: Topology, options: TracingOptions): Promise<TracedTopology> {
    if (topology.teacher) return localTracer.trace(topology, options); // its network is no module's
    const answer = await this.#answerFor(topology, options);
    if ("problem" in answer) {
      this.#onFallback(answer.problem);
      return localTracer.trace(topology, options);
    }
    const { train, evaluate, probe, proof } = answer.programs;
    const definitions = definitionsOf(topology, options);
    const ids = topology.sites.map(({ seedId }) => seedId);
    return {
      train: withDefinition(train, definitions.train, ids),
      evaluate: withDefinition(evaluate, definitions.evaluate, ids),
      probe: probe && definitions.probe && withDefinition(probe, definitions.probe, ids),
      proof: withIds(proof, ids),
    };
  }

  /** The thread traces it when it has nothing else to do. */
  async anticipate(topology: Topology, options: TracingOptions): Promise<void> {
    if (topology.teacher) return;
    await this.#answerFor(topology, options);
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  /** The answer to an equal question, or to this one. */
  #answerFor({ sites, hostGradient }: Topology, options: TracingOptions): Promise<TracingAnswer> {
    const { optimizer, trainBatch, evaluationBatch, monitor } = options;
    const question = {
      sites: sites.map((site, place) => ({ ...plainSite(site), seedId: stand(place) })),
      hostGradient,
      optimizer: optimizer.id,
      trainBatch,
      evaluationBatch,
      monitor,
    };
    const key = JSON.stringify(question);
    const answer = this.#answers.get(key) ?? this.#ask(question);
    this.#answers.delete(key);
    this.#answers.set(key, answer);
    const [oldest] = this.#answers.keys();
    if (this.#answers.size > MAX_ANSWERS && oldest !== undefined) this.#answers.delete(oldest);
    return answer;
  }

  #ask(question: Omit<TracingRequest, "id">): Promise<TracingAnswer> {
    const id = this.#count++;
    if (this.#failure !== undefined) return Promise.resolve({ id, problem: this.#failure });
    return new Promise((resolve) => {
      this.#pending.set(id, resolve);
      this.#worker.postMessage({ id, ...question } satisfies TracingRequest);
    });
  }

  #settle(answer: TracingAnswer): void {
    this.#pending.get(answer.id)?.(answer);
    this.#pending.delete(answer.id);
  }

  #fail(problem: string): void {
    this.#failure ??= problem;
    for (const id of [...this.#pending.keys()]) this.#settle({ id, problem });
  }
}

/**
 * What a seed is called in a question: by its place, so that any seed of the same kind at the same place gets the same
 * answer. No block and no seed can have such a name.
 */
function stand(place: number): string {
  return `@${place}`;
}

/** A path or message with the seeds' own ids. */
function named(text: string, ids: readonly string[]): string {
  return text.replace(/@(\d+)/g, (known, place: string) => ids[Number(place)] ?? known);
}

function withDefinition(
  plain: PlainProgram,
  definition: ProgramDefinition,
  ids: readonly string[],
): TracedProgram {
  return {
    ...plain,
    inputs: plain.inputs.map((input) => ({ ...input, name: named(input.name, ids) })),
    outputs: plain.outputs.map((output) => ({ ...output, name: named(output.name, ids) })),
    definition,
  };
}

function withIds(proof: IsolationProof, ids: readonly string[]): IsolationProof {
  return JSON.parse(named(JSON.stringify(proof), ids)) as IsolationProof;
}
