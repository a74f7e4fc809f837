/** Where a run may be logged to: what the tools that keep runs have in common. */
import type { Ended } from "../../folder/growth-lines.js";
import type { LogPoint } from "./log-points.js";

/** What is known of a run before its first step. */
export interface LoggedRun {
  /** Absolute path of its folder. */
  readonly folder: string;
  readonly runId: string;
  /** As `run.json` holds it. */
  readonly config: Readonly<Record<string, unknown>>;
  /** When this process began with it: milliseconds since 1970-01-01 UTC. */
  readonly startedMs: number;
  /** Of the first point: steps done before this process came to the run, or a few more. */
  readonly firstStep: number;
}

/** How it ended; `failed`: with an error. */
export type LogEnd = Ended | "failed";

/**
 * One place that a run is logged to. Calls come one at a time, in this order: `open` until it succeeds, `write` for each batch, `close`
 * once. Each may reject, with KasminaError `unavailable` or `timeout` where it may be called again with the same, and with anything else
 * where there is no use in trying.
 */
export interface LogTarget {
  /** As messages name it. */
  readonly name: string;
  open(run: LoggedRun, signal: AbortSignal): Promise<void>;
  /** @param points at most {@link MAX_BATCH}, in their order */
  write(points: readonly LogPoint[], signal: AbortSignal): Promise<void>;
  close(end: LogEnd, atMs: number, signal: AbortSignal): Promise<void>;
}

/** Points of one {@link LogTarget.write}; as many metrics as MLflow takes in one request. */
export const MAX_BATCH = 1_000;
