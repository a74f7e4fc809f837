/**
 * Fetches kernels through messages: request, answer, verified artifact (DESIGN §12). Whatever the bus, the worker or the
 * disk does, every request ends: with a kernel, or with an event and an error that says why.
 */
import {
  AsyncWorker,
  abortable,
  type Clock,
  DependencyViolationError,
  KasminaError,
  messageOf,
  systemClock,
} from "../../base/index.js";
import {
  type Attributes,
  type BlueprintCatalog,
  decodeKernelError,
  decodeKernelReady,
  type EventName,
  encodeKernelRequest,
  KERNEL_TOPICS,
  type Kernel,
  type KernelReady,
  type KernelRequest,
  type KernelSource,
  type Message,
  type MessagePort,
  type Subscription,
  type TelemetryLevel,
} from "../../contracts/index.js";
import { copyKernel, type KernelCache } from "./cache.js";
import { checkAnswer, checkKernel, FetchFailure, requestProblem } from "./checks.js";
import { type Flight, FlightTable } from "./in-flight.js";
import type { PrefetchStats, PrefetchStatus } from "./metrics.js";
import type { KernelObserver } from "./observer.js";

/** Reads artifacts and verifies every byte of them against the digest. */
export interface ArtifactReader {
  /** Rejects with KasminaError `corrupt` where the artifact is not what `sha256` says. */
  read(artifactRef: string, sha256: string, signal: AbortSignal): Promise<Kernel>;
}

export interface PrefetchOptions {
  readonly messages: MessagePort;
  readonly reader: ArtifactReader;
  readonly cache: KernelCache;
  /** What a kernel may be of. */
  readonly blueprints: BlueprintCatalog;
  readonly observer?: KernelObserver;
  readonly clock?: Clock;
  /** Name of this requester on the bus; unlike any other's. */
  readonly group: string;
  /** Of a forward pass, p95. Default 10. Judged by the gates; here it sets the default deadline. */
  readonly latencyBudgetMs?: number;
  /** From the call of `fetch`, queueing included. Default max(2 × latency budget, 1,000). */
  readonly deadlineMs?: number;
  /** Requests at once. Default 8. */
  readonly maxRunning?: number;
  /** Requests waiting for their turn. Default 1,024. */
  readonly maxQueued?: number;
}

/** However long the bus takes to let go, closing is over after this. */
const CLOSE_MS = 500;

export class KernelPrefetch implements KernelSource {
  readonly #options: PrefetchOptions;
  readonly #clock: Clock;
  readonly #worker: AsyncWorker;
  readonly #blueprints: BlueprintCatalog;
  readonly #flights = new FlightTable();
  readonly #deadlineMs: number;
  readonly #requests: Record<PrefetchStatus, number> = {
    ready: 0,
    error: 0,
    timeout: 0,
    canceled: 0,
    refused: 0,
  };
  readonly #ignored = { unknown: 0, malformed: 0 };
  #subscriptions: readonly Subscription[] = [];
  #inflight = 0;
  #joined = 0;
  #last: Pick<PrefetchStats, "lastLatencyMs" | "lastPrewarmP95Ms"> = {};

  /** Subscribes to the answers, so that none can be missed, and only then takes requests. */
  static async open(options: PrefetchOptions): Promise<KernelPrefetch> {
    const prefetch = new KernelPrefetch(options);
    const subscribe = (topic: string, handler: (message: Message) => void): Promise<Subscription> =>
      options.messages.subscribe(topic, options.group, handler, { durable: false, maxInFlight: 256 });
    prefetch.#subscriptions = [
      await subscribe(KERNEL_TOPICS.ready, (message) => prefetch.#onReady(message)),
      await subscribe(KERNEL_TOPICS.errors, (message) => prefetch.#onError(message)),
    ];
    return prefetch;
  }

  private constructor(options: PrefetchOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#blueprints = options.blueprints;
    this.#deadlineMs = options.deadlineMs ?? Math.max(2 * (options.latencyBudgetMs ?? 10), 1000);
    this.#worker = new AsyncWorker({
      maxRunning: options.maxRunning ?? 8,
      maxQueued: options.maxQueued ?? 1024,
      shutdownMs: CLOSE_MS,
      clock: this.#clock,
    });
  }

  get stats(): PrefetchStats {
    return {
      requests: { ...this.#requests },
      inflight: this.#inflight,
      outstanding: this.#flights.size,
      joined: this.#joined,
      ...this.#last,
      ignoredAnswers: { ...this.#ignored },
      worker: this.#worker.stats,
    };
  }

  /**
   * A kernel of the caller's own.
   * Rejects with DependencyViolationError, its `details.reason` from {@link FetchReason}, where it cannot be had; with
   * KasminaError `canceled` where `signal` or `close` gave it up. A signal that aborts with a KasminaError `timeout` is the
   * caller's own deadline, and told as one.
   */
  async fetch(request: KernelRequest, signal: AbortSignal): Promise<Kernel> {
    const problem = requestProblem(request, this.#blueprints);
    if (problem) {
      this.#requests.refused++;
      this.#report("dependency_violation", "CRITICAL", request, { reason: problem });
      throw violation(request, problem, `a kernel request is refused: ${problem}`);
    }
    const startedMs = this.#clock.monotonicMs();
    this.#inflight++;
    this.#report("prefetch_requested", "INFO", request, {});
    const outcome = await this.#worker.submit((jobSignal) => this.#join(request, jobSignal), {
      signal,
      deadlineMs: this.#deadlineMs,
    });
    this.#inflight--;
    const waitedMs = this.#clock.monotonicMs() - startedMs;
    switch (outcome.status) {
      case "completed":
        return this.#succeed(request, outcome.value, waitedMs);
      case "timed_out":
        throw this.#timeOut(request, waitedMs);
      case "failed":
        throw this.#fail(request, FetchFailure.from(outcome.error), waitedMs);
      case "rejected":
        if (outcome.reason === "queue_full")
          throw this.#fail(request, new FetchFailure("overloaded", "too many requests wait"), waitedMs);
        throw this.#giveUp(request, waitedMs);
      case "canceled":
        throw isTimeout(signal) ? this.#timeOut(request, waitedMs) : this.#giveUp(request, waitedMs);
      default:
        return outcome satisfies never;
    }
  }

  forget(): void {
    void this.#options.cache.reset();
  }

  /** Cancels every request, each with its event. Returns within a second, whatever the bus does. */
  async close(): Promise<void> {
    const left = Promise.allSettled(this.#subscriptions.map((subscription) => subscription.close()));
    await this.#worker.close();
    await new Promise<void>((resolve) => {
      const timer = this.#clock.setTimer(resolve, CLOSE_MS);
      void left.then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  async #join(request: KernelRequest, signal: AbortSignal): Promise<Kernel> {
    const flight = this.#flights.board(request, (opened) => this.#fly(opened));
    if (flight.request !== request) this.#joined++;
    try {
      return copyKernel(await abortable(flight.kernel, signal));
    } finally {
      this.#flights.leave(flight);
    }
  }

  /** Publishing is not awaited for itself: the answer may overtake it, and it may hang. */
  async #fly(flight: Flight): Promise<Kernel> {
    const { request } = flight;
    const { cache, messages } = this.#options;
    const cached = request.artifactSha256 === undefined ? undefined : cache.lookup(request.artifactSha256);
    if (cached) return checkKernel(request, cached, this.#blueprints);
    messages.publish(KERNEL_TOPICS.requests, encodeKernelRequest(request)).catch((error: unknown) => {
      flight.reject(new FetchFailure("publish_failed", messageOf(error), error));
    });
    const ready = checkAnswer(request, await flight.answer);
    const load = (): Promise<Kernel> => this.#read(ready, flight);
    const kernel = await cache.attach(ready.blueprintId, ready.sha256, load);
    const { prewarmP50Ms, prewarmP95Ms, fallbackUsed } = ready;
    return { ...checkKernel(request, kernel, this.#blueprints), prewarmP50Ms, prewarmP95Ms, fallbackUsed };
  }

  async #read({ artifactRef, sha256, blueprintId }: KernelReady, { signal }: Flight): Promise<Kernel> {
    const kernel = await abortable(this.#options.reader.read(artifactRef, sha256, signal), signal);
    // The lock and the cache go by the blueprint, so an artifact of another one must not come in.
    if (kernel.blueprintId !== blueprintId)
      throw new FetchFailure("wrong_blueprint", `the artifact is a kernel of ${kernel.blueprintId}`);
    return kernel;
  }

  #succeed(request: KernelRequest, kernel: Kernel, waitedMs: number): Kernel {
    this.#requests.ready++;
    this.#last = { lastLatencyMs: waitedMs, lastPrewarmP95Ms: kernel.prewarmP95Ms };
    this.#report("prefetch_ready", kernel.fallbackUsed ? "WARNING" : "INFO", request, {
      waited_ms: waitedMs,
      sha256: kernel.sha256,
      prewarm_p50_ms: kernel.prewarmP50Ms,
      prewarm_p95_ms: kernel.prewarmP95Ms,
      fallback_used: kernel.fallbackUsed,
    });
    return kernel;
  }

  #fail(request: KernelRequest, failure: FetchFailure, waitedMs: number): KasminaError {
    this.#requests.error++;
    this.#report("prefetch_error", "CRITICAL", request, {
      reason: failure.reason,
      message: failure.message,
      waited_ms: waitedMs,
    });
    return violation(request, failure.reason, failure.message, failure);
  }

  #timeOut(request: KernelRequest, waitedMs: number): KasminaError {
    this.#requests.timeout++;
    this.#report("prefetch_timeout", "CRITICAL", request, { waited_ms: waitedMs });
    return violation(request, "timeout", `no kernel within ${Math.round(waitedMs)} ms`);
  }

  #giveUp(request: KernelRequest, waitedMs: number): KasminaError {
    this.#requests.canceled++;
    this.#report("prefetch_canceled", "WARNING", request, { waited_ms: waitedMs });
    return new KasminaError("canceled", `the request for a kernel of ${request.blueprintId} was canceled`, {
      details: { requestId: request.requestId },
    });
  }

  #onReady(message: Message): void {
    const ready = this.#decoded(() => decodeKernelReady(message.payload));
    if (ready) this.#flightOf(ready.requestId)?.resolve(ready);
  }

  #onError(message: Message): void {
    const error = this.#decoded(() => decodeKernelError(message.payload));
    if (!error) return;
    const failure = new FetchFailure("worker_error", error.reason.slice(0, 500));
    this.#flightOf(error.requestId)?.reject(failure);
  }

  /** An answer that cannot be read is counted, and never asked for again. */
  #decoded<T>(decode: () => T): T | undefined {
    try {
      return decode();
    } catch {
      this.#ignored.malformed++;
      return undefined;
    }
  }

  #flightOf(requestId: string): Flight | undefined {
    const flight = this.#flights.awaiting(requestId);
    if (!flight) this.#ignored.unknown++;
    return flight;
  }

  #report(name: EventName, level: TelemetryLevel, request: KernelRequest, attributes: Attributes): void {
    this.#options.observer?.({
      name,
      level,
      atMs: this.#clock.nowMs(),
      trainingRunId: request.trainingRunId,
      seedId: request.seedId,
      attributes: {
        request_id: request.requestId,
        blueprint_id: request.blueprintId,
        seed_id: request.seedId,
        training_run_id: request.trainingRunId,
        ...attributes,
      },
    });
  }
}

function isTimeout({ reason }: AbortSignal): boolean {
  return reason instanceof KasminaError && reason.code === "timeout";
}

function violation(
  request: KernelRequest,
  reason: string,
  message: string,
  cause?: unknown,
): DependencyViolationError {
  const { requestId, blueprintId, seedId, trainingRunId } = request;
  return new DependencyViolationError(`kernel of ${blueprintId} for seed ${seedId}: ${message}`, {
    cause,
    details: { reason, requestId, blueprintId, seedId, trainingRunId },
  });
}
