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
    const answer = await this.#ask(topology, options);
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

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #ask({ sites, hostGradient }: Topology, options: TracingOptions): Promise<TracingAnswer> {
    const id = this.#count++;
    if (this.#failure !== undefined) return Promise.resolve({ id, problem: this.#failure });
    return new Promise((resolve) => {
      this.#pending.set(id, resolve);
      const { optimizer, trainBatch, evaluationBatch, monitor } = options;
      this.#worker.postMessage({
        id,
        sites: sites.map(plainSite),
        hostGradient,
        optimizer: optimizer.id,
        trainBatch,
        evaluationBatch,
        monitor,
      } satisfies TracingRequest);
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
