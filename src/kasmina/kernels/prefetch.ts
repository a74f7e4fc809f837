/**
 * Fetches kernels through messages: request, answer, verified artifact. Whatever the bus, the worker or the disk does,
 * every request ends: with a kernel, or with an event and an error that says why.
 */
import {
  AsyncWorker,
  abortable,
  type Clock,
  type Deferred,
  DependencyViolationError,
  deferred,
  JoinTable,
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
  type Kernel,
  type KernelReady,
  type KernelRequest,
  type KernelSource,
  type Message,
  type MessagePort,
  RUN_GROUP,
  runTopic,
  type Subscription,
  sharedTopic,
  type TelemetryLevel,
} from "../../contracts/index.js";
import { copyKernel, type KernelCache } from "./cache.js";
import { checkAnswer, checkKernel, FetchFailure, requestProblem } from "./checks.js";
import type { KernelObserver, PrefetchStats, PrefetchStatus } from "./telemetry.js";

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
  /** Answers come on the streams of this run; a request of another run, which would never be answered, is refused. */
  readonly trainingRunId: string;
  /**
   * The one deadline of a request, from the call of `fetch` on: queue, bus, worker and disk included. Default 1,000. null:
   * none, where the worker is this process's own, whose builds take as long as they take.
   */
  readonly deadlineMs?: number | null;
  /** Requests at once. Default 8. */
  readonly maxRunning?: number;
  /** Requests waiting for their turn. Default 1,024. */
  readonly maxQueued?: number;
}

/** However long the bus takes to let go, closing is over after this. */
const CLOSE_MS = 500;
const DEADLINE_MS = 1000;

export class KernelPrefetch implements KernelSource {
  readonly #options: PrefetchOptions;
  readonly #clock: Clock;
  readonly #worker: AsyncWorker;
  readonly #blueprints: BlueprintCatalog;
  /** Identical requests share one message and one artifact. */
  readonly #inFlight = new JoinTable<Kernel>();
  /** The answers that are waited for, by request id. */
  readonly #answers = new Map<string, Deferred<KernelReady>>();
  readonly #requests: Record<PrefetchStatus, number> = {
    ready: 0,
    error: 0,
    timeout: 0,
    canceled: 0,
    refused: 0,
  };
  readonly #ignored = { unknown: 0, malformed: 0 };
  #subscriptions: readonly Subscription[] = [];
  #waiting = 0;
  #last: Pick<PrefetchStats, "lastLatencyMs" | "lastPrewarmP95Ms"> = {};

  /** Subscribes to the answers, so that none can be missed, and only then takes requests. */
  static async open(options: PrefetchOptions): Promise<KernelPrefetch> {
    const prefetch = new KernelPrefetch(options);
    const { messages, trainingRunId } = options;
    const subscribe = (topic: string, handler: (message: Message) => void): Promise<Subscription> =>
      messages.subscribe(topic, RUN_GROUP, handler, { durable: false, maxInFlight: 256 });
    prefetch.#subscriptions = [
      await subscribe(runTopic("kernelReady", trainingRunId), (message) => prefetch.#onReady(message)),
      await subscribe(runTopic("kernelErrors", trainingRunId), (message) => prefetch.#onError(message)),
    ];
    return prefetch;
  }

  private constructor(options: PrefetchOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#blueprints = options.blueprints;
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
      inflight: this.#waiting,
      outstanding: this.#inFlight.size,
      joined: this.#inFlight.joined,
      ...this.#last,
      ignoredAnswers: { ...this.#ignored },
      worker: this.#worker.stats,
    };
  }

  /**
   * A kernel of the caller's own.
   * Rejects with DependencyViolationError, its `details.reason` from {@link FetchReason}, where it cannot be had; with
   * KasminaError `canceled` where `signal` or `close` gave it up.
   */
  async fetch(request: KernelRequest, signal: AbortSignal): Promise<Kernel> {
    const problem = requestProblem(request, this.#options);
    if (problem) {
      this.#requests.refused++;
      this.#report("dependency_violation", "CRITICAL", request, { reason: problem });
      throw violation(request, problem, `a kernel request is refused: ${problem}`);
    }
    const startedMs = this.#clock.monotonicMs();
    this.#waiting++;
    this.#report("prefetch_requested", "INFO", request, {});
    const { deadlineMs = DEADLINE_MS } = this.#options;
    const outcome = await this.#worker.submit((jobSignal) => this.#join(request, jobSignal), {
      signal,
      ...(deadlineMs !== null && { deadlineMs }),
    });
    this.#waiting--;
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
        throw this.#cancel(request, waitedMs);
      case "canceled":
        throw this.#cancel(request, waitedMs);
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
    const start = (joint: AbortSignal): Promise<Kernel> => this.#request(request, joint);
    return copyKernel(await this.#inFlight.join(keyOf(request), start, signal));
  }

  /** What all who join the request wait for; not to be changed. `signal` aborts when nobody waits any more. */
  async #request(request: KernelRequest, signal: AbortSignal): Promise<Kernel> {
    const { cache } = this.#options;
    const cached = request.artifactSha256 === undefined ? undefined : cache.lookup(request.artifactSha256);
    if (cached) return checkKernel(request, cached, this.#blueprints);
    const ready = checkAnswer(request, await this.#ask(request, signal));
    const { blueprintId, sha256, prewarmP50Ms, prewarmP95Ms, fallbackUsed } = ready;
    const artifact = await cache.attach(blueprintId, sha256, () => this.#read(ready, signal));
    return checkKernel(request, { ...artifact, prewarmP50Ms, prewarmP95Ms, fallbackUsed }, this.#blueprints);
  }

  /** The answer is waited for before it is asked for, since it may overtake the publishing, which may hang. */
  async #ask(request: KernelRequest, signal: AbortSignal): Promise<KernelReady> {
    const { requestId } = request;
    if (this.#answers.has(requestId))
      throw new FetchFailure("duplicate_request_id", `another request ${requestId} is in flight`);
    const answer = deferred<KernelReady>();
    this.#answers.set(requestId, answer);
    const published = this.#options.messages.publish(
      sharedTopic("kernelRequests"),
      encodeKernelRequest(request),
    );
    published.catch((error: unknown) =>
      answer.reject(new FetchFailure("publish_failed", messageOf(error), error)),
    );
    try {
      return await abortable(answer.promise, signal);
    } finally {
      this.#answers.delete(requestId);
    }
  }

  async #read({ artifactRef, sha256, blueprintId }: KernelReady, signal: AbortSignal): Promise<Kernel> {
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

  #cancel(request: KernelRequest, waitedMs: number): KasminaError {
    this.#requests.canceled++;
    this.#report("prefetch_canceled", "WARNING", request, { waited_ms: waitedMs });
    return new KasminaError("canceled", `the request for a kernel of ${request.blueprintId} was canceled`, {
      details: { requestId: request.requestId },
    });
  }

  #onReady(message: Message): void {
    const ready = this.#decoded(() => decodeKernelReady(message.payload));
    if (ready) this.#answerTo(ready.requestId)?.resolve(ready);
  }

  #onError(message: Message): void {
    const error = this.#decoded(() => decodeKernelError(message.payload));
    if (!error) return;
    const failure = new FetchFailure("worker_error", error.reason.slice(0, 500));
    this.#answerTo(error.requestId)?.reject(failure);
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

  /** Who waits for an answer to this request; the first answer counts, any other is ignored and counted. */
  #answerTo(requestId: string): Deferred<KernelReady> | undefined {
    const answer = this.#answers.get(requestId);
    if (!answer) this.#ignored.unknown++;
    this.#answers.delete(requestId);
    return answer;
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

/** What makes two requests the same: everything but who asks and when. */
function keyOf(request: KernelRequest): string {
  const parameters = Object.entries(request.parameters).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([
    request.blueprintId,
    parameters,
    request.slot.shape,
    request.artifactSha256 ?? "",
    request.initSeed ?? 0,
  ]);
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
