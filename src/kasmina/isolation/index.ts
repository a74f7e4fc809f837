export {
  type IsolationCheck,
  IsolationMonitor,
  monitoredRows,
} from "./isolation-monitor.js";
export { inquiryProgram, type MonitorOptions, probeProgram } from "./monitor.js";
export { isIsolated } from "./places.js";
export { type IsolationClaim, type IsolationFailure, type IsolationProof, proveIsolation } from "./proof.js";
export { type IsolationLimits, type IsolationReading, violationOf } from "./reading.js";
export { type CoordinateSample, sampleCoordinates } from "./sample.js";
