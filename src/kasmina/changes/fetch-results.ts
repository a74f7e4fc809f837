/**
 * What became of the request for a kernel, at the step at which it is due. Whether it came in time, and how fast it is,
 * hangs on the machine; so it is measured once and journaled before anything follows from it. A run that is resumed or
 * replayed takes what the journal says: the same seed and the same journal give the same run (DESIGN §5).
 */
import { DependencyViolationError, KasminaError } from "../../base/errors.js";
import type { Kernel, KernelRequest } from "../../contracts/ports.js";
import type { KernelFound, KernelVerdict } from "../security/journal.js";
import type { FetchResult } from "../state/kernel-fetches.js";
import type { RunState } from "../state/run-state.js";

/**
 * The kernel that is due at `step`, or why there is none; undefined where `signal` ended the wait.
 * Rejects with KasminaError `dependency_violation` where the journal knows of a kernel that cannot be had any more.
 */
export function dueKernel(
  state: RunState,
  request: KernelRequest,
  step: number,
  signal: AbortSignal | undefined,
): Promise<FetchResult | undefined> {
  const verdict = state.journal.verdictOf(request.requestId, step);
  return verdict ? kernelAgain(state, request, verdict, signal) : newKernel(state, request, step, signal);
}

async function newKernel(
  state: RunState,
  request: KernelRequest,
  step: number,
  signal: AbortSignal | undefined,
): Promise<FetchResult | undefined> {
  const result = await awaitKernel(state, request, signal);
  if (!result) return undefined;
  state.journal.appendVerdict({ requestId: request.requestId, step, found: foundIn(result) });
  state.journal.commit();
  return result;
}

/** Waits for a kernel; the wait is counted. */
async function awaitKernel(
  { clock, fetches, telemetry }: RunState,
  { seedId }: KernelRequest,
  signal: AbortSignal | undefined,
): Promise<FetchResult | undefined> {
  const startMs = clock.monotonicMs();
  const wasThere = fetches.isSettled(seedId);
  const result = await fetches.take(seedId, signal);
  telemetry.gauge(undefined, "kasmina.graft.stall_ms", wasThere ? 0 : clock.monotonicMs() - startMs);
  return result;
}

function foundIn(result: FetchResult): KernelVerdict["found"] {
  if ("error" in result) return { status: "missing", code: result.error.code, message: result.error.message };
  return { status: "attached", ...measuredOf(result.kernel) };
}

function measuredOf({ sha256, prewarmP50Ms, prewarmP95Ms, fallbackUsed }: Kernel) {
  return { sha256, prewarmP50Ms, prewarmP95Ms, fallbackUsed } satisfies Omit<KernelFound, "status">;
}

async function kernelAgain(
  state: RunState,
  request: KernelRequest,
  { found }: KernelVerdict,
  signal: AbortSignal | undefined,
): Promise<FetchResult | undefined> {
  if (found.status === "missing") {
    state.fetches.cancel(request.seedId);
    return { error: new KasminaError(found.code, found.message) };
  }
  const kernel = await patiently(state, request, signal);
  const { status: _, ...measured } = found;
  return kernel && { kernel: { ...kernel, ...measured } };
}

/** It was there once, so that no deadline counts any more: it is asked for until it comes, or cannot come. */
async function patiently(
  state: RunState,
  request: KernelRequest,
  signal: AbortSignal | undefined,
): Promise<Kernel | undefined> {
  for (;;) {
    const result = await awaitKernel(state, request, signal);
    if (!result) return undefined;
    if ("kernel" in result) return result.kernel;
    if (!isTimeout(result.error)) throw goneAfterwards(request, result.error);
    state.fetches.start(request);
  }
}

function isTimeout({ code, details }: KasminaError): boolean {
  return code === "timeout" || details.reason === "timeout";
}

function goneAfterwards({ requestId, blueprintId }: KernelRequest, cause: KasminaError): KasminaError {
  return new DependencyViolationError(
    `the journal knows the kernel of ${blueprintId} for ${requestId}, but it cannot be had: ${cause.message}`,
    { cause, details: { requestId } },
  );
}
