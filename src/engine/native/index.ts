export { lowerProgram } from "./lower.js";
export { createNativeBackend, type NativeOptions } from "./native-backend.js";
