/** Traces in a process of its own, so that the trainer goes on with the old program until the new one is there. */

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { deserialize } from "node:v8";
import { deferred } from "../../base/index.js";
import { environmentWithoutKeys } from "../../base/quiet-runtime.node.js";
import type { Ir, LoweringTarget, ProgramDefinition, TracedProgram } from "../../engine/index.js";
import type { IsolationProof, Topology } from "../../network/index.js";
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

export interface ProcessTracerOptions {
  /** What programs are lowered for. Default `cpu`. */
  readonly target?: LoweringTarget;
  /** The host, or the function that makes it. */
  readonly host: ModuleSource;
  /** Blueprints, or registries of them, besides the ones that come with Kasmina. Default: none. */
  readonly blueprints?: readonly ModuleSource[];
  /** Receives why a topology had to be traced on the trainer's own thread. */
  readonly onFallback?: (problem: string) => void;
}

/** What is printed where a host is made goes there: stdout is for data. */
const STDERR = 2;

/**
 * Memory for young objects, in MiB, held twice for ever once it was used: with V8's default of 16 a traced topology took as long, and the
 * process 20 MB more.
 */
const YOUNG_MIB = 2;

/** With these Node was given a program, which a process that is started with them would run again. */
const PROGRAM = /^(-e|-p|-pe|--eval|--print|--input-type)(=|$)/;

/** What else Node was started with: loaders, conditions, limits. */
function optionsOf(args: readonly string[]): string[] {
  return args.filter((arg, i) => {
    const before = args[i - 1] ?? "";
    return !PROGRAM.test(arg) && !(PROGRAM.test(before) && !before.includes("="));
  });
}

/** Answers kept: the present topologies, and those that may be asked for next. */
const MAX_ANSWERS = 48;

interface Asked {
  readonly question: TracingRequest;
  /** Whether somebody waits for the answer; or else it may be asked for. */
  isAwaited: boolean;
  readonly answer: Promise<TracingAnswer>;
  readonly settle: (answer: TracingAnswer) => void;
}

/**
 * A tracer in a process of its own, below this one in priority with all its threads: those in which V8 collects its
 * garbage and optimizes its code would take the cores from the trainer, were they of one process. Host and blueprints are
 * given by the modules that export them, since functions cannot be sent. Whatever it cannot do is done on the caller's
 * thread instead, and reported. An unanswered question keeps this process alive, an idle tracer does not.
 */
export class ProcessTracer implements TopologyTracer {
  readonly #process: ChildProcess;
  /** By question, the one asked last at the end. */
  readonly #asked = new Map<string, Asked>();
  /** What the process has yet to be given, the most urgent first. */
  #waiting: readonly Asked[] = [];
  /** What it works on. */
  #current: Asked | undefined;
  readonly #onFallback: (problem: string) => void;
  #failure: string | undefined;

  constructor({ target = "cpu", host, blueprints = [], onFallback }: ProcessTracerOptions) {
    this.#onFallback = onFallback ?? (() => undefined);
    this.#process = fork(new URL("./tracing-process.node.js", import.meta.url), {
      serialization: "advanced",
      execArgv: [...optionsOf(process.execArgv), `--max-semi-space-size=${YOUNG_MIB}`],
      env: environmentWithoutKeys(),
      stdio: ["ignore", STDERR, STDERR, "ipc"],
    });
    this.#process.on("message", (answer) => this.#settle(answer as TracingAnswer));
    this.#process.on("error", (error) => this.#fail(error.message));
    this.#process.on("disconnect", () => this.#fail("the tracing process has ended"));
    this.#process.unref();
    this.#send({ target, host, blueprints });
    this.#goOn();
  }

  async trace(topology: Topology, options: TracingOptions): Promise<TracedTopology> {
    if (topology.teacher) return localTracer.trace(topology, options); // its network is no module's
    const asked = this.#ask(topology, options);
    asked.isAwaited = true;
    this.#prioritize([asked]);
    const answer = await asked.answer;
    if ("problem" in answer) {
      this.#onFallback(answer.problem);
      return localTracer.trace(topology, options);
    }
    const { train, evaluate, probe, prefix, proof } = answer.programs;
    const definitions = definitionsOf(topology, options);
    const ids = topology.sites.map(({ seedId }) => seedId);
    return {
      train: withDefinition(train, definitions.train, ids),
      evaluate: withDefinition(evaluate, definitions.evaluate, ids),
      probe: probe && definitions.probe && withDefinition(probe, definitions.probe, ids),
      prefix: prefix &&
        definitions.prefix && {
          blocks: prefix.blocks,
          train: withDefinition(prefix.train, definitions.prefix.train, ids),
          evaluate: withDefinition(prefix.evaluate, definitions.prefix.evaluate, ids),
        },
      proof: withIds(proof, ids),
    };
  }

  /** The process traces them when nothing is waited for. */
  anticipate(topologies: readonly Topology[], options: TracingOptions): Promise<void>[] {
    const asked = topologies
      .filter(({ teacher }) => !teacher)
      .map((topology) => this.#ask(topology, options));
    this.#prioritize(asked);
    return asked.map(async ({ answer }) => void (await answer));
  }

  async close(): Promise<void> {
    this.#process.ref();
    const ended = once(this.#process, "exit");
    if (this.#process.kill("SIGKILL")) await ended;
  }

  /** The equal question that was asked already, or this one, which waits from now on. */
  #ask({ sites, hostGradient, loss, clipNorm }: Topology, options: TracingOptions): Asked {
    const { optimizer, trainBatch, evaluationBatch, monitor, maxFeatures } = options;
    const question: TracingRequest = {
      sites: sites.map((site, place) => ({ ...plainSite(site), seedId: stand(place) })),
      hostGradient,
      loss,
      clipNorm,
      optimizer: optimizer.id,
      trainBatch,
      evaluationBatch,
      monitor,
      ...(maxFeatures !== undefined && { maxFeatures }),
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
    const asked = { question, isAwaited: false, answer: promise, settle: resolve };
    this.#waiting = [...this.#waiting, asked];
    return asked;
  }

  /** Those of them that still wait come before all others. */
  #prioritize(asked: readonly Asked[]): void {
    const waiting = new Set(this.#waiting);
    const first = asked.filter((one) => waiting.delete(one));
    this.#waiting = [...first, ...waiting];
    this.#goOn();
  }

  #goOn(): void {
    if (!this.#current) this.#giveNext();
    if (this.#current) this.#process.channel?.ref();
    else this.#process.channel?.unref();
  }

  /** What somebody waits for comes before all that is anticipated, whatever was asked last. */
  #giveNext(): void {
    const next = this.#waiting.find(({ isAwaited }) => isAwaited) ?? this.#waiting[0];
    if (!next) return;
    this.#current = next;
    this.#waiting = this.#waiting.filter((asked) => asked !== next);
    if (this.#failure === undefined) this.#send(next.question);
    else this.#settle({ problem: this.#failure });
  }

  #send(message: TracingStart | TracingRequest): void {
    this.#process.send(message);
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
