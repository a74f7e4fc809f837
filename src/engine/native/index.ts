export { lowerProgram } from "../onnx/lower.js";
export { createCudaBackend } from "./cuda.js";
export { createGpuBackend } from "./gpu/gpu-backend.js";
export type { DeviceUse, GpuBackend, GpuOptions } from "./gpu/gpu-options.js";
export { createNativeBackend, type NativeOptions } from "./native-backend.js";
export { OnnxFile } from "./onnx-file.js";
