export { lowerProgram } from "../onnx/lower.js";
export { createNativeBackend, type NativeOptions } from "./native-backend.js";
