export {
  AsyncWorker,
  type AsyncWorkerOptions,
  type AsyncWorkerStats,
  type Job,
  type JobOptions,
  type JobOutcome,
} from "./async-worker.js";
export type { BreakerLimits, BreakerSnapshot, BreakerState } from "./breaker.js";
export { concatBytes, fromHex, sha256Hex, toHex, u32be, utf8 } from "./bytes.js";
export { type Clock, ManualClock, systemClock, type Timer } from "./clock.js";
export {
  DependencyViolationError,
  ERROR_CODES,
  type ErrorCode,
  errorFromPosted,
  KasminaError,
  messageOf,
  type PostedError,
  postableError,
} from "./errors.js";
export { JoinTable } from "./join-table.js";
export { fromJsonText, parseStrictJson, toJsonText } from "./json.js";
export { abortable, abortError, type Deferred, deferred, unlessStopped } from "./promises.js";
export { Random } from "./random.js";
export { maxOf, mean, meanInterval, minOf, percentile, sum } from "./statistics.js";
export { formatFlops, IDENTIFIER_RULE, isIdentifier, printable } from "./text.js";
