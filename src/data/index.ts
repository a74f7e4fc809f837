export type { Dataset, Rows } from "../contracts/dataset.js";
export { type DatasetArrays, datasetFromArrays } from "./arrays.js";
export { type BatchOptions, OrderedBatches, ShuffledBatches } from "./batches.js";
export { type CsvOptions, datasetFromCsv } from "./csv.js";
export { DATA_FORMS, type OpenOptions, openDataset } from "./open.js";
export type { NestedNumbers, RowsInput } from "./rows.js";
export { makeSpirals, type SpiralsOptions } from "./spirals.js";
export { datasetFromText, type TextOptions } from "./text.js";
