export { lowerProgram } from "../onnx/lower.js";
export { createGpuBackend, type DeviceUse, type GpuBackend, type GpuOptions } from "./gpu/gpu-backend.js";
export { createNativeBackend, type NativeOptions } from "./native-backend.js";
export { OnnxFile } from "./onnx-file.js";
