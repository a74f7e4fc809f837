/** Runs: growing, keeping, resuming, replaying, commanding them. Node; `kasmina` itself runs in a browser too. */
export { ProcessTracer, type ProcessTracerOptions } from "../tolaria/tracing/process-tracer.node.js";
export { BusCommands, type BusCommandsOptions } from "./control/bus-commands.js";
export { type ArrivedCommand, BusLink, type BusLinkOptions } from "./control/bus-link.js";
export { type Dashboard, type DashboardOptions, serveDashboard } from "./dashboard/index.js";
export type {
  EpochLine,
  EventLine,
  GrowthLine,
  NoticeLine,
  Phase,
  SeedProgress,
  SeedReport,
  StepLine,
  Summary,
} from "./folder/growth-lines.js";
export { type Inspection, inspectRun } from "./folder/inspect-run.js";
export type { GenerateOptions } from "./grow/generate.js";
export { GrownNetwork, type Predictions } from "./grow/grown-network.js";
export type { KernelListener, RunControl, RunKernels, RunStatus } from "./grow/ports.js";
export { KernelService, type KernelServiceOptions } from "./kernels/kernel-service.js";
export type { KernelThreadStart } from "./kernels/thread-kernels.js";
export { ThreadKernels } from "./kernels/thread-kernels.js";
export { reportOf } from "./report/index.js";
export { grow } from "./run/grow.js";
export { growInWorker } from "./run/grow-in-worker.js";
export type {
  EpochReport,
  EventReport,
  GrowCallbacks,
  GrowOptions,
  GrowParts,
  GrowPhase,
  StepReport,
} from "./run/grow-options.js";
export type { GrowEnd, GrownSeed, GrowResult } from "./run/grow-result.js";
export { planRun, type RunPlan } from "./run/plan-run.js";
export { type GivenCode, readGrownNetwork } from "./run/read-network.node.js";
export { type Replay, type ReplayOptions, replayRun } from "./run/replay.node.js";
export { lineCallbacks, summaryLine } from "./run/reporting.js";
export {
  type DataEvaluation,
  type DataPredictions,
  evaluateOn,
  predictOn,
  type RowPrediction,
} from "./run/use-network.node.js";
export { type WatchedRun, watchRun } from "./telemetry/watched-run.node.js";
