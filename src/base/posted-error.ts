/** Errors that cross from one thread or process to another. */
import { DependencyViolationError, ERROR_CODES, type ErrorCode, KasminaError } from "./errors.js";

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
