export type { Backend, BackendName, BackendStats, Program, State } from "./backend.js";
export { countFlops } from "./flops.js";
export {
  type Atom,
  dependencies,
  type Equation,
  type Ir,
  PRIMITIVES,
  type Primitive,
  printIr,
  type Variable,
} from "./ir.js";
export {
  type Arrays,
  type JaxArray,
  type ProgramDefinition,
  type ProgramInput,
  type ProgramOutput,
  type ProgramResult,
  type TracedProgram,
  trace,
} from "./trace.js";
export { createWasmBackend } from "./wasm.js";
