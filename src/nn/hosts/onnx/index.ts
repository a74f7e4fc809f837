export type { OnnxDescription } from "./describe.js";
export type { ImageOptions } from "./model-input.js";
export { HEAD_CHOICES, type OnnxHostOptions, type OnnxTask, onnxHost, TRAIN_CHOICES } from "./onnx-host.js";
