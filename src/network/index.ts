export {
  checkTeacher,
  DISTILLATION_TEMPERATURE,
  DISTILLATION_WEIGHT,
  distillationControlSpecs,
  teacherSpecs,
} from "./distillation.js";
export { type EvaluationResult, EvaluationSums, evaluationProgram, isComparison } from "./evaluation.js";
export { blendControlSpecs, blendTensors } from "./forward.js";
export { forwardProgram } from "./forward-program.js";
export { frozenPrefix, prefixProgram } from "./frozen-prefix.js";
export { globalNorm, type StepGradients, stepGradients } from "./gradients.js";
export { grownOnnx } from "./grown-onnx.js";
export {
  type CoordinateSample,
  type IsolationCheck,
  type IsolationClaim,
  IsolationMonitor,
  type IsolationProof,
  inquiryProgram,
  isIsolated,
  type MonitorOptions,
  monitoredRows,
  probeProgram,
  proveIsolation,
  sampleCoordinates,
} from "./isolation/index.js";
export { kernelProgram } from "./kernel-program.js";
export type {
  ClassificationMetrics,
  LabelMetrics,
  Metrics,
  MultilabelMetrics,
  RegressionMetrics,
  SequenceMetrics,
  TargetMetrics,
} from "./metrics.js";
export {
  type Answers,
  type AnswerTable,
  type Evaluation,
  evaluationOf,
  type OutputFormat,
  taskFor,
} from "./tasks.js";
export { chooseThreshold, THRESHOLD_AIMS, type ThresholdAim } from "./threshold.js";
export {
  batchSpecs,
  isBlended,
  isShadow,
  learningPlan,
  parameterSpecs,
  type SeedSite,
  seedPath,
  slotShape,
  type TeacherNetwork,
  type Topology,
} from "./topology.js";
