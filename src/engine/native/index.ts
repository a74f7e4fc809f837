export { lowerProgram } from "../onnx/lower.js";
export { createGpuBackend } from "./gpu/gpu-backend.js";
export type { DeviceUse, GpuBackend, GpuOptions } from "./gpu/gpu-options.js";
export { createCudaBackend, createNativeBackend, type NativeOptions } from "./native-backend.js";
export { OnnxFile } from "./onnx-file.js";
