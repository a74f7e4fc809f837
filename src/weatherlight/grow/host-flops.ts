/** What the host alone costs: its programs, counted from their IR before there are any. */
import { trace } from "../../engine/index.js";
import type { Seed } from "../../kasmina/index.js";
import { monitoredRows } from "../../network/index.js";
import type { BlueprintRegistry, Host } from "../../nn/index.js";
import { definitionsOf, type Optimizer, topologyOf } from "../../tolaria/index.js";

export interface HostFlops {
  /** Of one training step. */
  readonly train: number;
  /** Of the evaluation of one batch. */
  readonly evaluation: number;
}

export interface HostPrograms {
  readonly host: Host;
  readonly blueprints: BlueprintRegistry;
  readonly optimizer: Optimizer;
  /** Rows of a training step, and of an evaluation batch. */
  readonly batch: number;
  readonly evaluationBatch: number;
  /** Seeds that the run began with: part of the host. Default: none. */
  readonly inherited?: readonly Seed[];
}

/** Traces both programs on this thread. */
export function countHost(programs: HostPrograms): HostFlops {
  const { host, blueprints, optimizer, batch, evaluationBatch, inherited = [] } = programs;
  const monitor = { batch, rows: monitoredRows(batch), coordinates: 1 };
  const options = { optimizer, trainBatch: batch, evaluationBatch, monitor };
  const topology = topologyOf({ host, blueprints, hostGradient: "detach" }, inherited);
  const { train, evaluate } = definitionsOf(topology, options);
  return { train: trace(train).flops, evaluation: trace(evaluate).flops };
}
