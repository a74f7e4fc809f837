/**
 * The kernels of germinated seeds: asked for when a germination is accepted, due a lead later. What a fetch came to, and
 * how fast the kernel is, depends on the machine; so it is journaled at the step at which the kernel was due, before
 * anything follows from it. A run that is resumed or replayed takes what the journal says: the same seed and the same
 * journal give the same run.
 *
 * There is no deadline here: the source has one for what comes from elsewhere, and what this process builds itself takes
 * as long as it takes.
 */

import type { Clock } from "../../base/clock.js";
import { DependencyViolationError, KasminaError } from "../../base/errors.js";
import { abortable } from "../../base/promises.js";
import type { Kernel, KernelRequest, KernelSource } from "../../contracts/ports.js";
import type { FetchJournal, FetchResult, KernelFound } from "../security/journal.js";
import type { TelemetryHub } from "../telemetry/hub.js";

/** A kernel, or why there is none. */
export type FetchOutcome = { readonly kernel: Kernel } | { readonly error: KasminaError };

interface RequestInFlight {
  readonly abort: AbortController;
  readonly outcome: Promise<FetchOutcome>;
  isComplete: boolean;
}

export interface DueKernelsOptions {
  readonly source: KernelSource;
  readonly journal: FetchJournal;
  readonly clock: Clock;
  readonly telemetry: TelemetryHub;
}

export class DueKernels {
  readonly #options: DueKernelsOptions;
  /** By the seed that asks. */
  readonly #inFlight = new Map<string, RequestInFlight>();

  constructor(options: DueKernelsOptions) {
    this.#options = options;
  }

  /** Seeds whose kernel is on its way or waiting to be attached. */
  get seedIds(): readonly string[] {
    return [...this.#inFlight.keys()];
  }

  /** Asks for a seed's kernel. */
  start(request: KernelRequest): void {
    const abort = new AbortController();
    const outcome = this.#fetch(request, abort.signal);
    const inFlight: RequestInFlight = { abort, outcome, isComplete: false };
    void outcome.then(() => {
      inFlight.isComplete = true;
    });
    this.#inFlight.set(request.seedId, inFlight);
  }

  /**
   * The kernel that is due at `step`, or why there is none; undefined where `signal` ended the wait. A wait is counted
   * as `kasmina.graft.stall_ms`.
   * Rejects with KasminaError `dependency_violation` where the journal knows of a kernel that cannot be had any more.
   */
  due(
    request: KernelRequest,
    step: number,
    signal: AbortSignal | undefined,
  ): Promise<FetchOutcome | undefined> {
    const known = this.#options.journal.fetchResultOf(request.requestId, step);
    return known ? this.#again(request, known, signal) : this.#first(request, step, signal);
  }

  /** Gives a seed's kernel up. */
  cancel(seedId: string): void {
    this.#inFlight.get(seedId)?.abort.abort();
    this.#inFlight.delete(seedId);
  }

  cancelAll(): void {
    for (const seedId of this.seedIds) this.cancel(seedId);
  }

  /** Has the source drop what it keeps in memory. */
  forgetCached(): void {
    this.#options.source.forget?.();
  }

  async #fetch(request: KernelRequest, signal: AbortSignal): Promise<FetchOutcome> {
    try {
      return { kernel: await this.#options.source.fetch(request, signal) };
    } catch (error) {
      return { error: KasminaError.from(error, "dependency_violation") };
    }
  }

  async #first(
    request: KernelRequest,
    step: number,
    signal: AbortSignal | undefined,
  ): Promise<FetchOutcome | undefined> {
    const outcome = await this.#take(request, signal);
    if (!outcome) return undefined;
    const { journal } = this.#options;
    journal.appendFetchResult({ requestId: request.requestId, step, found: foundIn(outcome) });
    journal.commit();
    return outcome;
  }

  /** What the journal says holds; the weights alone are fetched again. */
  async #again(
    request: KernelRequest,
    { found }: FetchResult,
    signal: AbortSignal | undefined,
  ): Promise<FetchOutcome | undefined> {
    if (found.status === "missing") {
      this.cancel(request.seedId);
      return { error: new KasminaError(found.code, found.message) };
    }
    const kernel = await this.#untilThere(request, signal);
    const { status: _, ...measured } = found;
    return kernel && { kernel: { ...kernel, ...measured } };
  }

  /** It was there once, so that no deadline counts any more: it is asked for until it comes, or cannot come. */
  async #untilThere(request: KernelRequest, signal: AbortSignal | undefined): Promise<Kernel | undefined> {
    for (;;) {
      const outcome = await this.#take(request, signal);
      if (!outcome) return undefined;
      if ("kernel" in outcome) return outcome.kernel;
      if (!isTimeout(outcome.error)) throw goneAfterwards(request, outcome.error);
      this.start(request);
    }
  }

  /** Waits for what a seed's request comes to, and forgets the request; undefined where `signal` came first. */
  async #take({ seedId }: KernelRequest, signal: AbortSignal | undefined): Promise<FetchOutcome | undefined> {
    const { clock, telemetry } = this.#options;
    const inFlight = this.#inFlight.get(seedId);
    if (!inFlight)
      return { error: new KasminaError("illegal_state", `no kernel was asked for on behalf of ${seedId}`) };
    const startMs = clock.monotonicMs();
    const wasThere = inFlight.isComplete;
    const outcome = await abortable(inFlight.outcome, signal).catch(() => undefined);
    telemetry.addDuration("kasmina.graft.stall_ms", wasThere ? 0 : clock.monotonicMs() - startMs);
    if (outcome) this.#inFlight.delete(seedId);
    return outcome;
  }
}

function foundIn(outcome: FetchOutcome): FetchResult["found"] {
  if ("error" in outcome)
    return { status: "missing", code: outcome.error.code, message: outcome.error.message };
  const { sha256, prewarmP50Ms, prewarmP95Ms, fallbackUsed } = outcome.kernel;
  return { status: "attached", sha256, prewarmP50Ms, prewarmP95Ms, fallbackUsed } satisfies KernelFound;
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
