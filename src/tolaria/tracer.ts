/** Traces the programs of a topology: on this thread, or beside it while training goes on. */
import { type ProgramDefinition, type TracedProgram, trace } from "../engine/index.js";
import { evaluationProgram, type Topology } from "../kasmina/index.js";
import type { Optimizer } from "./optimizers.js";
import { trainStepProgram } from "./train-step.js";

/** One training step and one evaluation. */
export interface OfTopology<T> {
  readonly train: T;
  readonly evaluate: T;
}

export interface TracingOptions {
  readonly optimizer: Optimizer;
  readonly trainBatch: number;
  readonly evaluationBatch: number;
}

export interface TopologyTracer {
  trace(topology: Topology, options: TracingOptions): Promise<OfTopology<TracedProgram>>;
}

export function definitionsOf(topology: Topology, options: TracingOptions): OfTopology<ProgramDefinition> {
  return {
    train: trainStepProgram(topology, options.optimizer, options.trainBatch),
    evaluate: evaluationProgram(topology, options.evaluationBatch),
  };
}

/** Traces on the thread that asks, which stands still meanwhile. */
export const localTracer: TopologyTracer = {
  async trace(topology, options) {
    const { train, evaluate } = definitionsOf(topology, options);
    return { train: trace(train), evaluate: trace(evaluate) };
  },
};
