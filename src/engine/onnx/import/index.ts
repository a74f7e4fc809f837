export type { ImportedParameter } from "./constants.js";
export { type Cut, findCuts, lastLinear, logitsOf, mainInput, proposedCuts } from "./flow.js";
export { type ImportedInput, ImportedModel, type ImportOptions } from "./imported-model.js";
export type { ModelNode, TensorInfo } from "./read-model.js";
export { staticTensor } from "./static.js";
export type { ReadExternal } from "./tensor-proto.js";
export { traced, type Value } from "./value.js";
