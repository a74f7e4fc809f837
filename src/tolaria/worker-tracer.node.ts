/** Traces in a thread of its own, so that the trainer goes on with the old program until the new one is there. */
import { Worker } from "node:worker_threads";
import type { ProgramDefinition, TracedProgram } from "../engine/index.js";
import type { Topology } from "../kasmina/index.js";
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
const MAX_ANSWERS = 12;

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
    const answer = await this.#answerFor(topology, options);
    if ("problem" in answer) {
      this.#onFallback(answer.problem);
      return localTracer.trace(topology, options);
    }
    const { train, evaluate, probe, proof } = answer.programs;
    const definitions = definitionsOf(topology, options);
    return {
      train: withDefinition(train, definitions.train),
      evaluate: withDefinition(evaluate, definitions.evaluate),
      probe: probe && definitions.probe && withDefinition(probe, definitions.probe),
      proof,
    };
  }

  /** The thread traces it when it has nothing else to do. */
  anticipate(topology: Topology, options: TracingOptions): void {
    void this.#answerFor(topology, options);
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  /** The answer to an equal question, or to this one. */
  #answerFor({ sites, hostGradient }: Topology, options: TracingOptions): Promise<TracingAnswer> {
    const { optimizer, trainBatch, evaluationBatch, monitor } = options;
    const question = {
      sites: sites.map(plainSite),
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

function withDefinition(plain: PlainProgram, definition: ProgramDefinition): TracedProgram {
  return { ...plain, definition };
}
