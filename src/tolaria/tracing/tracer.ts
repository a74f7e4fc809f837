/** Traces the programs of a topology: on this thread, or in parallel while training goes on. */

import { type ProgramDefinition, type TracedProgram, trace } from "../../engine/index.js";
import {
  evaluationProgram,
  frozenPrefix,
  type IsolationProof,
  isIsolated,
  type MonitorOptions,
  prefixProgram,
  probeProgram,
  proveIsolation,
  type Topology,
} from "../../network/index.js";
import type { Optimizer } from "../optimizers.js";
import { trainStepProgram } from "../train-step.js";

/** One training step, one evaluation, and the isolation monitor's probe. */
export interface OfTopology<T> {
  readonly train: T;
  readonly evaluate: T;
  /** Undefined where no seed is isolated. */
  readonly probe: T | undefined;
  /** What `train` and `evaluate` begin with, where that may be kept. Left out: they begin with the examples. */
  readonly prefix?: OfPrefix<T> | undefined;
}

/** The frozen prefix of a topology, for the batches of a training step and of an evaluation. */
export interface OfPrefix<T> {
  /** Leading blocks of the host. */
  readonly blocks: number;
  readonly train: T;
  readonly evaluate: T;
}

/** The traced programs of a topology, and whether its training step keeps the seeds isolated. */
export interface TracedTopology<P = TracedProgram> extends OfTopology<P> {
  readonly proof: IsolationProof;
}

export interface TracingOptions {
  readonly optimizer: Optimizer;
  readonly trainBatch: number;
  readonly evaluationBatch: number;
  readonly monitor: MonitorOptions;
  /** Values a row that may be kept of what a frozen prefix gives. Default 0: all programs begin with the examples. */
  readonly maxFeatures?: number;
}

export interface TopologyTracer {
  trace(topology: Topology, options: TracingOptions): Promise<TracedTopology>;
  /**
   * Says which topologies may be asked for soon, the likeliest first. What costs the caller no time may be done now, before
   * what was anticipated earlier; each resolves when it is.
   */
  anticipate?(topologies: readonly Topology[], options: TracingOptions): readonly Promise<void>[];
}

export function definitionsOf(topology: Topology, options: TracingOptions): OfTopology<ProgramDefinition> {
  const { optimizer, trainBatch, evaluationBatch, monitor, maxFeatures = 0 } = options;
  const blocks = frozenPrefix(topology, maxFeatures);
  return {
    train: trainStepProgram(topology, optimizer, trainBatch, blocks),
    evaluate: evaluationProgram(topology, evaluationBatch, blocks),
    probe: topology.sites.some(isIsolated) ? probeProgram(topology, monitor) : undefined,
    prefix:
      blocks === 0
        ? undefined
        : {
            blocks,
            train: prefixProgram(topology, blocks, trainBatch),
            evaluate: prefixProgram(topology, blocks, evaluationBatch),
          },
  };
}

/** Traces the programs of a topology, `prepare` making of each what is wanted, and proves the step. */
export function traceTopology<P extends Pick<TracedProgram, "inputs" | "outputs" | "ir">>(
  topology: Topology,
  options: TracingOptions,
  prepare: (definition: ProgramDefinition) => P,
): TracedTopology<P> {
  const { train, evaluate, probe, prefix } = definitionsOf(topology, options);
  const step = prepare(train);
  return {
    train: step,
    evaluate: prepare(evaluate),
    probe: probe && prepare(probe),
    prefix: prefix && ofPrefix(prefix, prepare),
    proof: proveIsolation(step, topology, train.update),
  };
}

/** The same of both programs of a prefix. */
export function ofPrefix<T, U>({ blocks, train, evaluate }: OfPrefix<T>, make: (of: T) => U): OfPrefix<U> {
  return { blocks, train: make(train), evaluate: make(evaluate) };
}

/** Traces on the thread that asks, which stands still meanwhile. */
export const localTracer: TopologyTracer = {
  trace: async (topology, options) => traceTopology(topology, options, trace),
};
