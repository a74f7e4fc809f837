/**
 * Kasmina: grows neural networks while they train. What most programs need, in Node and in a browser; each room has more
 * under `kasmina/<room>`.
 */
export { KasminaError } from "./base/index.js";
export type { Dataset } from "./contracts/index.js";
export { type DatasetArrays, datasetFromArrays } from "./data/arrays.js";
export type { NestedNumbers, RowsInput } from "./data/rows.js";
export {
  type Block,
  type Blueprint,
  builtins,
  defineBlock,
  defineBlueprint,
  defineHost,
  type Host,
} from "./nn/index.js";
export { PlateauPolicy } from "./tamiyo/index.js";
export type { GenerateOptions } from "./weatherlight/grow/generate.js";
export type { GrownNetwork, Predictions } from "./weatherlight/grow/grown-network.js";
export { grow } from "./weatherlight/run/grow.js";
export type {
  EpochReport,
  EventReport,
  GrowOptions,
  GrowPhase,
  StepReport,
} from "./weatherlight/run/grow-options.js";
export type { GrowEnd, GrownSeed, GrowResult } from "./weatherlight/run/grow-result.js";
