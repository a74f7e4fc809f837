export { ProcessTracer, type ProcessTracerOptions } from "../tolaria/process-tracer.node.js";
export { BusCommands, type BusCommandsOptions, COMMAND_TOPIC } from "./bus-commands.js";
export { defaultPolicy } from "./default-policy.js";
export { type GrownNetwork, networkToOnnx, networkToSafetensors, readGrownNetwork } from "./export-run.js";
export { grow } from "./grow.js";
export { growInWorker } from "./grow-in-worker.js";
export type { GrowOptions } from "./grow-options.js";
export type { GrownSeed, GrowResult } from "./grow-result.js";
export { type GrowthConfig, type GrowthOptions, parseGrowthConfig } from "./growth-config.js";
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
} from "./growth-lines.js";
export { type Inspection, inspectRun, type NetworkMeta } from "./inspect-run.js";
export {
  type KernelListener,
  KernelService,
  type KernelServiceOptions,
  type RunKernels,
} from "./kernel-service.js";
export type { KernelThreadStart } from "./kernel-thread-protocol.js";
export type { OpenKernels, RunParts } from "./open-run.js";
export { runGrowth } from "./run-growth.js";
export { ThreadKernels } from "./thread-kernels.js";
