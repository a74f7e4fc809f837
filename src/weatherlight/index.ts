export { ProcessTracer, type ProcessTracerOptions } from "../tolaria/tracing/process-tracer.node.js";
export { BusCommands, type BusCommandsOptions } from "./control/bus-commands.js";
export {
  type GrownNetwork,
  networkToOnnx,
  networkToSafetensors,
  readGrownNetwork,
} from "./folder/export-run.js";
export type {
  EpochLine,
  EventLine,
  GrowthCallbacks,
  GrowthLine,
  GrowthRunner,
  NoticeLine,
  Phase,
  SeedProgress,
  SeedReport,
  StepLine,
  Summary,
} from "./folder/growth-lines.js";
export { type Inspection, inspectRun } from "./folder/inspect-run.js";
export type { NetworkMeta } from "./folder/saved-checkpoint.js";
export { defaultPolicy } from "./grow/default-policy.js";
export { grow } from "./grow/grow.js";
export type { GrowOptions } from "./grow/grow-options.js";
export type { GrownSeed, GrowResult } from "./grow/grow-result.js";
export type { KernelListener, RunControl, RunKernels, RunStatus } from "./grow/ports.js";
export { KernelService, type KernelServiceOptions } from "./kernels/kernel-service.js";
export type { KernelThreadStart } from "./kernels/thread-kernels.js";
export { ThreadKernels } from "./kernels/thread-kernels.js";
export { growInWorker } from "./run/grow-in-worker.js";
export { type GrowthConfig, type GrowthOptions, parseGrowthConfig } from "./run/growth-config.js";
export type { OpenKernels, RunParts } from "./run/open-run.js";
export { runGrowth } from "./run/run-growth.js";
