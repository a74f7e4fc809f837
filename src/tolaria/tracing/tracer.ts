/** Traces the programs of a topology: on this thread, or in parallel while training goes on. */

import { type ProgramDefinition, type TracedProgram, trace } from "../../engine/index.js";
import {
  evaluationProgram,
  type IsolationProof,
  isIsolated,
  type MonitorOptions,
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
  return {
    train: trainStepProgram(topology, options.optimizer, options.trainBatch),
    evaluate: evaluationProgram(topology, options.evaluationBatch),
    probe: topology.sites.some(isIsolated) ? probeProgram(topology, options.monitor) : undefined,
  };
}

/** Traces the programs of a topology, `prepare` making of each what is wanted, and proves the step. */
export function traceTopology<P extends Pick<TracedProgram, "inputs" | "outputs" | "ir">>(
  topology: Topology,
  options: TracingOptions,
  prepare: (definition: ProgramDefinition) => P,
): TracedTopology<P> {
  const { train, evaluate, probe } = definitionsOf(topology, options);
  const step = prepare(train);
  return {
    train: step,
    evaluate: prepare(evaluate),
    probe: probe && prepare(probe),
    proof: proveIsolation(step, topology, train.update),
  };
}

/** Traces on the thread that asks, which stands still meanwhile. */
export const localTracer: TopologyTracer = {
  trace: async (topology, options) => traceTopology(topology, options, trace),
};
