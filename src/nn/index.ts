export { type AttentionSize, causalAttention } from "./attention.js";
export {
  type Blueprint,
  defineBlueprint,
  initKernel,
} from "./blueprint.js";
export {
  attentionResidual,
  BlueprintRegistry,
  builtinBlueprints,
  builtins,
  convResidual,
  hostBlock,
  lowRank,
  mlpResidual,
  squeezeExcite,
} from "./blueprints/index.js";
export {
  type Block,
  countHostParameters,
  defineBlock,
  defineHost,
  frozenPaths,
  type Host,
  type HostOrigin,
  type HostSlot,
  initHost,
  labelShape,
  parameterPathsOf,
  type SharedParameter,
  slotsOf,
} from "./host.js";
export { type CharLmOptions, charlm } from "./hosts/charlm.js";
export { createHost, HOST_IDS, type HostId, type HostTask } from "./hosts/index.js";
export {
  HEAD_CHOICES,
  type ImageOptions,
  type OnnxDescription,
  type OnnxHostOptions,
  type OnnxTask,
  onnxHost,
  TRAIN_CHOICES,
} from "./hosts/onnx/index.js";
export { type ResConvOptions, resconv } from "./hosts/resconv.js";
export { type ResMlpOptions, resmlp } from "./hosts/resmlp.js";
export {
  binaryCrossEntropy,
  conv3x3,
  correct,
  exampleLoss,
  gelu,
  globalAveragePool,
  type LossOptions,
  layerNorm,
  linear,
  maxPool2x2,
  relu,
  sigmoid,
  squaredError,
} from "./layers.js";
export {
  heNormal,
  type Initializer,
  lecunNormal,
  normal,
  ones,
  type ParameterSpec,
  type ParameterSpecs,
  type Parameters,
  zeros,
} from "./parameters.js";
