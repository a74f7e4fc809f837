/**
 * The one error class of the project. What is expected to happen (a gate refuses, a command is stale) is a
 * returned value; an error is for what is not. `code` is from a closed set, so callers switch on it.
 * Errors cross from one thread or process to another as plain data.
 */

/** Every code a {@link KasminaError} can carry. */
export const ERROR_CODES = [
  /** Wrong use: an option, an argument, a configuration value. The command line exits with 2. */
  "invalid_argument",
  /** Input data that cannot be used: a truncated file, a label outside the classes. */
  "invalid_data",
  /** A file or folder that cannot be read or written. */
  "io",
  /** An artifact, checkpoint or message that is not what its digest or schema says. */
  "corrupt",
  /** A lifecycle transition or an operation that the present state does not allow. */
  "illegal_state",
  /** Something Kasmina depends on failed: a kernel fetch, a missing run id, a latency budget. */
  "dependency_violation",
  /** The engine cannot trace, lower, compile or run a program. */
  "engine",
  /** Training produced a loss, or a network, that is not finite. */
  "loss_not_finite",
  /** A seed disturbed its host. */
  "isolation",
  /** A deadline passed. */
  "timeout",
  /** The work was cancelled by its owner. */
  "canceled",
  /** A bounded queue is full. */
  "overloaded",
  /** A service that the work needs, such as Redis, cannot be reached; later it may. */
  "unavailable",
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

export interface ErrorOptions {
  readonly cause?: unknown;
  /** Facts for a program: names, shapes, limits. Never secrets. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/**
 * An error with a code from {@link ERROR_CODES} and a one-line message that names what was wrong.
 *
 * @example
 * ```ts
 * import { grow, KasminaError } from "kasmina";
 *
 * try {
 *   await grow({ data: "csv:missing.csv" });
 * } catch (error) {
 *   if (error instanceof KasminaError && error.code === "io") console.error(error.message);
 *   else throw error;
 * }
 * ```
 */
export class KasminaError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "KasminaError";
    this.code = code;
    this.details = options.details ?? {};
  }

  /** The error itself if it is a KasminaError, else one of `code` with the given error as its cause. */
  static from(error: unknown, code: ErrorCode = "illegal_state"): KasminaError {
    if (error instanceof KasminaError) return error;
    return new KasminaError(code, messageOf(error), { cause: error });
  }
}

/** Raised where a kernel, run id or latency budget that Kasmina depends on is missing or broken. */
export class DependencyViolationError extends KasminaError {
  constructor(message: string, options: ErrorOptions = {}) {
    super("dependency_violation", message, options);
    this.name = "DependencyViolationError";
  }
}

/** The message of anything that can be thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** An error as plain data: posting an Error itself would lose its code. */
export interface PostedError {
  readonly code?: ErrorCode;
  readonly message: string;
  readonly stack?: string;
  /** Those that are plain values. */
  readonly details: Readonly<Record<string, string | number | boolean>>;
}

export function postableError(error: unknown): PostedError {
  if (!(error instanceof Error)) return { message: String(error), details: {} };
  const stack = error.stack === undefined ? {} : { stack: error.stack };
  if (!(error instanceof KasminaError)) return { message: error.message, ...stack, details: {} };
  const details = Object.entries(error.details).filter(
    (entry): entry is [string, string | number | boolean] =>
      ["string", "number", "boolean"].includes(typeof entry[1]),
  );
  return { code: error.code, message: error.message, ...stack, details: Object.fromEntries(details) };
}

/** The posted error as one that can be thrown; its stack is that of the trainer. */
export function errorFromPosted(posted: PostedError): Error {
  const error = newErrorFrom(posted);
  if (posted.stack !== undefined) error.stack = posted.stack;
  return error;
}

function newErrorFrom({ code, message, details }: PostedError): Error {
  if (code === undefined || !ERROR_CODES.includes(code)) return new Error(message);
  return code === "dependency_violation"
    ? new DependencyViolationError(message, { details })
    : new KasminaError(code, message, { details });
}
