export { lowerProgram } from "../onnx/lower.js";
export { createNativeBackend, type NativeOptions } from "./native-backend.js";
export { OnnxFile } from "./onnx-file.js";
