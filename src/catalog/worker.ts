/** The catalog's worker: takes kernel requests off the bus, builds or finds what is wanted, and answers. */
import { AsyncWorker, type Clock, deferred, KasminaError, messageOf, systemClock } from "../base/index.js";
import {
  decodeKernelRequest,
  encodeKernelError,
  encodeKernelReady,
  type KernelRequest,
  type Message,
  type MessagePort,
  runTopic,
  type Subscription,
  sharedTopic,
} from "../contracts/index.js";
import type { KernelBuilder, ProvidedKernel } from "./builder.js";
import type { ArtifactQuery } from "./store.js";

/** How long closing waits for builds to end; what goes on regardless publishes nothing half. */
const CLOSE_MS = 500;
const DEADLINE_MS = 30_000;

export interface KernelWorkerOptions {
  readonly messages: MessagePort;
  readonly builder: KernelBuilder;
  readonly clock?: Clock;
  /** Workers of one group share the requests. Default `catalog`. */
  readonly group?: string;
  /** Kernels in work at once. Default 2. */
  readonly maxRunning?: number;
  /** After this a request is answered with an error. Default 30,000. null: never, where requester and worker are one process. */
  readonly deadlineMs?: number | null;
  /** For measurements: how long every kernel is held back. Default 0. */
  readonly holdMs?: number;
}

export interface KernelWorkerStats {
  readonly received: number;
  readonly ready: number;
  readonly errors: number;
}

export class KernelWorker {
  readonly #options: KernelWorkerOptions;
  readonly #jobs: AsyncWorker;
  readonly #clock: Clock;
  readonly #counts = { received: 0, ready: 0, errors: 0 };
  #subscription: Subscription | undefined;

  static async open(options: KernelWorkerOptions): Promise<KernelWorker> {
    const worker = new KernelWorker(options);
    const handle = (message: Message): Promise<void> => worker.#handle(message);
    worker.#subscription = await options.messages.subscribe(
      sharedTopic("kernelRequests"),
      options.group ?? "catalog",
      handle,
    );
    return worker;
  }

  private constructor(options: KernelWorkerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#jobs = new AsyncWorker({
      maxRunning: options.maxRunning ?? 2,
      shutdownMs: CLOSE_MS,
      clock: this.#clock,
    });
  }

  get stats(): KernelWorkerStats {
    return { ...this.#counts };
  }

  /** Takes no further request. Those in work stay unacknowledged, for another worker. */
  async close(): Promise<void> {
    await this.#subscription?.close();
    await this.#jobs.close();
  }

  /** A message that is no request is never acknowledged and ends among the dead letters, for people to see. */
  async #handle(message: Message): Promise<void> {
    const request = decodeKernelRequest(message.payload);
    this.#counts.received++;
    const { deadlineMs = DEADLINE_MS } = this.#options;
    const outcome = await this.#jobs.submit(
      (signal) => this.#hold(this.#supply(request), signal),
      deadlineMs === null ? {} : { deadlineMs },
    );
    switch (outcome.status) {
      case "completed":
        return this.#answerReady(request, outcome.value);
      case "failed":
        return this.#answerError(request, messageOf(outcome.error));
      case "timed_out":
        return this.#answerError(request, `no kernel after ${Math.round(outcome.waitedMs)} ms in the worker`);
      case "canceled":
      case "rejected":
        throw new KasminaError("overloaded", `${request.requestId} is left to another worker`);
      default:
        return outcome satisfies never;
    }
  }

  async #hold<T>(supplied: Promise<T>, signal: AbortSignal): Promise<T> {
    const { holdMs = 0 } = this.#options;
    if (holdMs > 0) {
      const held = deferred<void>();
      const timer = this.#clock.setTimer(() => held.resolve(), holdMs);
      signal.addEventListener("abort", () => {
        timer.cancel();
        held.resolve();
      });
      await held.promise;
    }
    return supplied;
  }

  async #supply(request: KernelRequest): Promise<ProvidedKernel> {
    const { blueprintId, parameters, slot, artifactSha256, initSeed = 0, trainingRunId } = request;
    if (trainingRunId.trim() === "")
      throw new KasminaError("invalid_argument", "the request names no training run");
    if (artifactSha256 !== undefined)
      return this.#options.builder.provideExact(blueprintId, artifactSha256, slot.shape);
    return this.#build({ blueprintId, parameters, slotShape: slot.shape, initSeed });
  }

  /** What is asked for; where it cannot be built, another kernel of the blueprint, which says that it is a fallback. */
  async #build(wanted: ArtifactQuery): Promise<ProvidedKernel> {
    const { builder } = this.#options;
    try {
      return await builder.provide(wanted);
    } catch (error) {
      const canNeverBe = error instanceof KasminaError && error.code === "invalid_argument";
      const fallback = canNeverBe ? undefined : await builder.fallbackFor(wanted);
      if (fallback) return fallback;
      throw error;
    }
  }

  async #answerReady(
    { requestId, trainingRunId }: KernelRequest,
    { ref, sha256, manifest, prewarm, fallbackUsed }: ProvidedKernel,
  ): Promise<void> {
    const ready = encodeKernelReady({
      requestId,
      blueprintId: manifest.blueprint,
      artifactRef: ref,
      sha256,
      prewarmP50Ms: prewarm.p50Ms,
      prewarmP95Ms: prewarm.p95Ms,
      fallbackUsed,
    });
    await this.#options.messages.publish(runTopic("kernelReady", trainingRunId), ready);
    this.#counts.ready++;
  }

  async #answerError(
    { requestId, blueprintId, trainingRunId }: KernelRequest,
    reason: string,
  ): Promise<void> {
    const error = encodeKernelError({ requestId, blueprintId, reason: reason.slice(0, 500) });
    await this.#options.messages.publish(runTopic("kernelErrors", trainingRunId), error);
    this.#counts.errors++;
  }
}
