/** Traces in a thread of its own, so that the trainer goes on with the old program until the new one is there. */
import { deserialize } from "node:v8";
import { Worker } from "node:worker_threads";
import { deferred } from "../base/index.js";
import type { Ir, ProgramDefinition, TracedProgram } from "../engine/index.js";
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

interface Asked {
  readonly question: TracingRequest;
  readonly answer: Promise<TracingAnswer>;
  readonly settle: (answer: TracingAnswer) => void;
}

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
  /** By question, the one asked last at the end. */
  readonly #asked = new Map<string, Asked>();
  /** What the thread has yet to be given, the most urgent first. */
  #waiting: readonly Asked[] = [];
  /** What it works on. */
  #current: Asked | undefined;
  readonly #onFallback: (problem: string) => void;
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
    const asked = this.#ask(topology, options);
    this.#hasten([asked]);
    const answer = await asked.answer;
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

  /** The thread traces them when nothing is waited for. */
  anticipate(topologies: readonly Topology[], options: TracingOptions): Promise<void>[] {
    const asked = topologies
      .filter(({ teacher }) => !teacher)
      .map((topology) => this.#ask(topology, options));
    this.#hasten(asked);
    return asked.map(async ({ answer }) => void (await answer));
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  /** The equal question that was asked already, or this one, which waits from now on. */
  #ask({ sites, hostGradient }: Topology, options: TracingOptions): Asked {
    const { optimizer, trainBatch, evaluationBatch, monitor } = options;
    const question: TracingRequest = {
      sites: sites.map((site, place) => ({ ...plainSite(site), seedId: stand(place) })),
      hostGradient,
      optimizer: optimizer.id,
      trainBatch,
      evaluationBatch,
      monitor,
    };
    const key = JSON.stringify(question);
    const asked = this.#asked.get(key) ?? this.#new(question);
    this.#asked.delete(key);
    this.#asked.set(key, asked);
    const [oldest] = this.#asked.keys();
    if (this.#asked.size > MAX_ANSWERS && oldest !== undefined) this.#asked.delete(oldest);
    return asked;
  }

  #new(question: TracingRequest): Asked {
    const { promise, resolve } = deferred<TracingAnswer>();
    const asked = { question, answer: promise, settle: resolve };
    this.#waiting = [...this.#waiting, asked];
    return asked;
  }

  /** Those of them that still wait come before all others. */
  #hasten(asked: readonly Asked[]): void {
    const waiting = new Set(this.#waiting);
    const first = asked.filter((one) => waiting.delete(one));
    this.#waiting = [...first, ...waiting];
    this.#goOn();
  }

  #goOn(): void {
    if (this.#current) return;
    const [next, ...others] = this.#waiting;
    if (!next) return;
    this.#current = next;
    this.#waiting = others;
    if (this.#failure === undefined) this.#worker.postMessage(next.question);
    else this.#settle({ problem: this.#failure });
  }

  #settle(answer: TracingAnswer): void {
    this.#current?.settle(answer);
    this.#current = undefined;
    this.#goOn();
  }

  #fail(problem: string): void {
    this.#failure ??= problem;
    if (this.#current) this.#settle({ problem });
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
  let ir: Ir | undefined;
  return {
    ...plain,
    get ir() {
      ir ??= deserialize(plain.ir) as Ir;
      return ir;
    },
    inputs: plain.inputs.map((input) => ({ ...input, name: named(input.name, ids) })),
    outputs: plain.outputs.map((output) => ({ ...output, name: named(output.name, ids) })),
    definition,
  };
}

function withIds(proof: IsolationProof, ids: readonly string[]): IsolationProof {
  return JSON.parse(named(JSON.stringify(proof), ids)) as IsolationProof;
}
