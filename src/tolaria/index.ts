export type { TeacherOptions } from "./distillation.js";
export { evaluateRows } from "./evaluate.js";
export { HyperControls, type HyperParameters } from "./hyper.js";
export { ModelState } from "./model-state.js";
export { OPTIMIZERS, type Optimizer, type OptimizerId } from "./optimizers.js";
export type { CheckpointReader, GoodState } from "./rollback.js";
export { SCHEDULE_IDS, type ScheduleId, scheduleFactor } from "./schedules.js";
export {
  definitionsOf,
  localTracer,
  type OfTopology,
  type TopologyTracer,
  type TracingOptions,
} from "./tracer.js";
export { countScalars, optimizerSpecs, trainStepProgram } from "./train-step.js";
export { Trainer } from "./trainer.js";
export type { TrainerCheckpoint } from "./trainer-checkpoint.js";
export type {
  EpochReport,
  StepReport,
  StopPlace,
  TrainerOptions,
  TrainingEnd,
  TrainingResult,
} from "./trainer-options.js";
