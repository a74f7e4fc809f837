export type { ImportedParameter } from "./constants.js";
export { type Cut, findCuts, lastLinear, logitsOf, mainInput, proposedCuts } from "./flow.js";
export { ImportedModel, refusedNodes } from "./imported-model.js";
export { readModel, type TensorInfo } from "./read-model.js";
export { staticTensor } from "./static.js";
export type { ReadExternal } from "./tensor-proto.js";
export { traced, type Value } from "./value.js";
