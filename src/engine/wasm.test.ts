import { describeBackend } from "./backend.conformance.js";
import { createWasmBackend } from "./wasm.js";

describeBackend("wasm", createWasmBackend);
