/** The compiled programs of the topologies a run passes through: training step, evaluation, isolation monitor. */

import { type Deferred, deferred } from "../../base/index.js";
import type { FlopsByPart, IsolationFailure } from "../../contracts/index.js";
import type { Backend, Program, TracedProgram } from "../../engine/index.js";
import { IsolationMonitor, type Topology } from "../../network/index.js";
import { evaluationFlops, stepFlops } from "../flops.js";
import { CompileSchedule } from "./compile-schedule.js";
import {
  localTracer,
  type OfPrefix,
  type TopologyTracer,
  type TracedTopology,
  type TracingOptions,
} from "./tracer.js";

export interface TopologyPrograms {
  readonly topology: Topology;
  readonly train: Program;
  readonly evaluate: Program;
  /** Of one training step, and of the evaluation of one batch. */
  readonly flops: { readonly step: Partial<FlopsByPart>; readonly batch: Partial<FlopsByPart> };
  /** Undefined where no seed is isolated. */
  readonly monitor: IsolationMonitor | undefined;
  /** What `train` and `evaluate` begin with; undefined: with the examples. */
  readonly prefix: FrozenPrefixPrograms | undefined;
}

export type FrozenPrefixPrograms = OfPrefix<Program>;

/** A topology that gets no program, because a seed of it could disturb the host. */
export interface UnprovenTopology {
  readonly topology: Topology;
  readonly failure: IsolationFailure;
}

export type PreparedTopology = TopologyPrograms | UnprovenTopology;

export interface ProgramsOptions extends TracingOptions {
  readonly backend: Backend;
  /** Default: traces on the thread that asks. */
  readonly tracer?: TopologyTracer;
}

/** What distinguishes two topologies of one run: which seed is where, in what part. */
function topologyKey(topology: Topology): string {
  const sites = topology.sites.map(({ seedId, slotId, blueprint, parameters, part }) =>
    [seedId, slotId, blueprint.id, part, JSON.stringify(Object.entries(parameters).sort())].join(":"),
  );
  return [topology.host.id, topology.hostGradient, topology.teacher?.id ?? "", ...sites].join(" ");
}

/** The present topology, and the one asked for in advance. */
const KEPT = 2;
/** Topologies whose FLOPs are remembered. */
const COUNTED = 64;

function dispose(prepared: PreparedTopology): void {
  if ("failure" in prepared) return;
  prepared.train.dispose();
  prepared.evaluate.dispose();
  prepared.monitor?.dispose();
  prepared.prefix?.train.dispose();
  prepared.prefix?.evaluate.dispose();
}

/** Frees the programs, once they are compiled. */
function release({ programs, urgent }: Entry): void {
  programs.then(dispose, () => undefined);
  urgent.resolve();
}

interface Entry {
  readonly key: string;
  readonly programs: Promise<PreparedTopology>;
  /** Resolved once somebody waits for them. */
  readonly urgent: Deferred<void>;
}

export class Programs {
  readonly #options: ProgramsOptions;
  readonly #schedule = new CompileSchedule();
  readonly #compiling = new Set<Promise<PreparedTopology>>();
  #prepared: readonly Entry[] = [];
  /** FLOPs of training steps, by topology; the oldest first. */
  readonly #stepFlops = new Map<string, Promise<number>>();

  constructor(options: ProgramsOptions) {
    this.#options = options;
  }

  /**
   * The programs of a topology, compiled at the first call. The two used last are kept: the present topology and the
   * one that was asked for in advance; compiled code itself is cached by the back end.
   */
  prepare(topology: Topology): Promise<PreparedTopology> {
    const { programs, urgent } = this.#entryOf(topology);
    urgent.resolve();
    return programs;
  }

  /** Starts on the programs of a topology: one is compiled after each of the next steps, until somebody waits for them. */
  prepareAhead(topology: Topology): void {
    this.#entryOf(topology).programs.catch(() => undefined); // reported to whoever asks for them
  }

  /** FLOPs of a training step of the topology, from its trace; it is not compiled. */
  stepFlops(topology: Topology): Promise<number> {
    const key = topologyKey(topology);
    const known = this.#stepFlops.get(key);
    if (known) return known;
    const { tracer = localTracer } = this.#options;
    return this.#remember(key, tracer.trace(topology, this.#options));
  }

  /** Says that a training step has ended. */
  afterStep(): void {
    this.#schedule.afterStep();
  }

  /** Says which topologies may come next; resolves when the first `wait` of them can be had without waiting. */
  async anticipate(topologies: readonly Topology[], wait = 0): Promise<void> {
    const asked = this.#options.tracer?.anticipate?.(topologies, this.#options) ?? [];
    await Promise.all(asked.slice(0, wait));
  }

  /**
   * Lets go of every program; the back end keeps what it has compiled for whoever asks next. What is being compiled is
   * waited for: a thread that ends meanwhile takes the process with it (ONNX Runtime throws into nowhere).
   */
  async dispose(): Promise<void> {
    this.#prepared.forEach(release);
    this.#prepared = [];
    await Promise.allSettled(this.#compiling);
  }

  #remember(key: string, tracing: Promise<TracedTopology>): Promise<number> {
    const flops = tracing.then(({ train, prefix }) => train.flops + (prefix?.train.flops ?? 0));
    flops.catch(() => void this.#stepFlops.delete(key));
    this.#stepFlops.set(key, flops);
    const [oldest] = this.#stepFlops.keys();
    if (this.#stepFlops.size > COUNTED && oldest !== undefined) this.#stepFlops.delete(oldest);
    return flops;
  }

  #entryOf(topology: Topology): Entry {
    const key = topologyKey(topology);
    const entry = this.#prepared.find((known) => known.key === key) ?? this.#startCompiling(topology, key);
    const byUse = [entry, ...this.#prepared.filter((other) => other !== entry)];
    this.#prepared = byUse.slice(0, KEPT);
    byUse.slice(KEPT).forEach(release);
    return entry;
  }

  #startCompiling(topology: Topology, key: string): Entry {
    const urgent = deferred<void>();
    const programs = this.#compile(topology, urgent.promise);
    const end = (): void => void this.#compiling.delete(programs);
    this.#compiling.add(programs);
    programs.then(end, end);
    return { key, programs, urgent };
  }

  async #compile(topology: Topology, urgent: Promise<void>): Promise<PreparedTopology> {
    const { backend, tracer = localTracer, monitor: options } = this.#options;
    await this.#schedule.next(urgent);
    const tracing = tracer.trace(topology, this.#options);
    this.#remember(topologyKey(topology), tracing).catch(() => undefined); // reported to whoever waits for the programs
    const traced = await tracing;
    if (!traced.proof.proven) return { topology, failure: traced.proof };
    await this.#schedule.next(urgent);
    const train = await backend.compile(traced.train);
    await this.#schedule.next(urgent);
    const evaluate = await backend.compile(traced.evaluate);
    await this.#schedule.next(urgent);
    const monitor =
      traced.probe && (await IsolationMonitor.compile(backend, topology, options, traced.probe));
    const prefix = traced.prefix && (await this.#compilePrefix(traced.prefix, urgent));
    const flops = { step: stepFlops(topology, traced), batch: evaluationFlops(traced) };
    return { topology, train, evaluate, flops, monitor, prefix };
  }

  async #compilePrefix(
    { blocks, ...traced }: OfPrefix<TracedProgram>,
    urgent: Promise<void>,
  ): Promise<FrozenPrefixPrograms> {
    const { backend } = this.#options;
    await this.#schedule.next(urgent);
    const train = await backend.compile(traced.train);
    await this.#schedule.next(urgent);
    return { blocks, train, evaluate: await backend.compile(traced.evaluate) };
  }
}
