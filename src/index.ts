/** Kasmina: grows neural networks while they train. What most users need; each room has more under `kasmina/<room>`. */
export { KasminaError } from "./base/index.js";
export { datasetFromArrays, openDataset } from "./data/index.js";
export { openBackend } from "./engine/index.js";
export { defineBlock, defineBlueprint, defineHost } from "./nn/index.js";
export { PlateauPolicy } from "./tamiyo/index.js";
export { grow } from "./weatherlight/grow/grow.js";
export type { GrowOptions } from "./weatherlight/grow/grow-options.js";
export type { GrowResult } from "./weatherlight/grow/grow-result.js";
export { runGrowth } from "./weatherlight/run/run-growth.js";
