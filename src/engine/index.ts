export type { Backend, BackendName, BackendStats, Program, State } from "./backend.js";
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
export { createBrowserGpuBackend, createWasmBackend } from "./jax-backend.js";
export {
  type Cut,
  findCuts,
  ImportedModel,
  type ImportedParameter,
  lastLinear,
  logitsOf,
  mainInput,
  proposedCuts,
  type ReadExternal,
  readModel,
  refusedNodes,
  staticTensor,
  type TensorInfo,
  traced,
  type Value,
} from "./onnx/import/index.js";
export {
  ENGINE_CHOICES,
  type EngineChoice,
  type OpenBackendOptions,
  type OpenedBackend,
  openBackend,
} from "./open-backend.js";
export {
  type Arrays,
  flopsFor,
  type JaxArray,
  type LoweredProgram,
  type LoweredTensor,
  type LoweringTarget,
  type ProgramDefinition,
  type ProgramInput,
  type ProgramOutput,
  type ProgramResult,
  type TracedProgram,
  trace,
} from "./trace.js";
export type { Arithmetic, UpdatePlan, UpdateRule, UpdateTarget } from "./update/rule.js";
export { wholePower } from "./update/rule.js";
export { wrapBackend, wrapProgram } from "./wrap-backend.js";
