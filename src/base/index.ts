export { abortable, abortError, unlessStopped } from "./abortable.js";
export {
  AsyncWorker,
  type AsyncWorkerOptions,
  type AsyncWorkerStats,
  type Job,
  type JobOptions,
  type JobOutcome,
} from "./async-worker.js";
export { Breaker, type BreakerLimits, type BreakerSnapshot, type BreakerState } from "./breaker.js";
export { concatBytes, sha256Hex, toHex, u32be, utf8 } from "./bytes.js";
export { type Clock, ManualClock, systemClock, type Timer } from "./clock.js";
export { type Deferred, deferred } from "./deferred.js";
export { DependencyViolationError, ERROR_CODES, type ErrorCode, KasminaError, messageOf } from "./errors.js";
export { JoinTable } from "./join-table.js";
export { fromJsonText, toJsonText } from "./json-text.js";
export { errorFromPosted, type PostedError, postableError } from "./posted-error.js";
export { Random } from "./random.js";
export { mean, percentile, sum } from "./statistics.js";
export { parseStrictJson } from "./strict-json.js";
