export type { TeacherOptions } from "./distillation.js";
export { evaluateRows } from "./evaluate.js";
export { HyperControls, type HyperParameters, SCHEDULE_IDS, type ScheduleId, type Warmup } from "./hyper.js";
export { type Inheritance, inheritanceOf } from "./inheritance.js";
export { ModelState } from "./model-state.js";
export { OPTIMIZERS, type Optimizer, type OptimizerId } from "./optimizers.js";
export type { CheckpointReader, GoodState } from "./recovery/rollback.js";
export {
  type BlendControls,
  blendControls,
  type TopologyOptions,
  topologyOf,
} from "./topologies.js";
export {
  definitionsOf,
  localTracer,
  type OfTopology,
  type TopologyTracer,
  type TracingOptions,
} from "./tracing/tracer.js";
export type { ModuleSource } from "./tracing/tracing-protocol.js";
export { optimizerSpecs, trainStepProgram } from "./train-step.js";
export { Trainer } from "./trainer.js";
export type {
  CheckpointInterval,
  EpochReport,
  StepReport,
  StopPlace,
  TrainerCheckpoint,
  TrainerOptions,
  TrainingEnd,
  TrainingResult,
} from "./trainer-options.js";
export { KEEPS, type Keep } from "./trainer-options.js";
