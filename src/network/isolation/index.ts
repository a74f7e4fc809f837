export { isIsolated } from "../topology.js";
export {
  type IsolationCheck,
  IsolationMonitor,
  monitoredRows,
} from "./isolation-monitor.js";
export { inquiryProgram, type MonitorOptions, probeProgram } from "./monitor.js";
export { type IsolationClaim, type IsolationProof, proveIsolation } from "./proof.js";
export { type CoordinateSample, sampleCoordinates } from "./sample.js";
