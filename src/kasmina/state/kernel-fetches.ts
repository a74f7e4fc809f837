/** Kernels on their way, by seed. A fetch starts when a germination is accepted and is awaited when it is due. */
import { abortable } from "../../base/abortable.js";
import type { Clock, Timer } from "../../base/clock.js";
import { DependencyViolationError, KasminaError } from "../../base/errors.js";
import type { Kernel, KernelRequest, KernelSource } from "../../contracts/ports.js";

export type FetchResult = { readonly kernel: Kernel } | { readonly error: KasminaError };

interface Fetch {
  readonly request: KernelRequest;
  readonly abort: AbortController;
  readonly result: Promise<FetchResult>;
  settled: boolean;
  timer?: Timer;
}

export interface KernelFetchesOptions {
  readonly source: KernelSource;
  readonly clock: Clock;
  /** A kernel that is not there by then is given up, whatever the source does. */
  readonly deadlineMs: number;
}

export class KernelFetches {
  readonly #options: KernelFetchesOptions;
  readonly #fetches = new Map<string, Fetch>();

  constructor(options: KernelFetchesOptions) {
    this.#options = options;
  }

  /** Seeds whose kernel is on its way or waiting to be attached. */
  get seedIds(): readonly string[] {
    return [...this.#fetches.keys()];
  }

  start(request: KernelRequest): void {
    const abort = new AbortController();
    const deadline = this.#deadline(request, abort);
    const fetch: Fetch = {
      request,
      abort,
      settled: false,
      timer: deadline.timer,
      result: Promise.race([this.#fetch(request, abort.signal), deadline.passed]).then((result) => {
        fetch.settled = true;
        fetch.timer?.cancel();
        return result;
      }),
    };
    this.#fetches.set(request.seedId, fetch);
  }

  isSettled(seedId: string): boolean {
    return this.#fetches.get(seedId)?.settled ?? false;
  }

  /** Waits for a seed's kernel and forgets the fetch; undefined where `signal` came first. Never rejects. */
  async take(seedId: string, signal?: AbortSignal): Promise<FetchResult | undefined> {
    const fetch = this.#fetches.get(seedId);
    if (!fetch)
      return { error: new KasminaError("illegal_state", `no kernel was asked for on behalf of ${seedId}`) };
    const result = await abortable(fetch.result, signal).catch(() => undefined);
    if (result) this.#fetches.delete(seedId);
    return result;
  }

  cancel(seedId: string): void {
    const fetch = this.#fetches.get(seedId);
    this.#fetches.delete(seedId);
    fetch?.timer?.cancel();
    fetch?.abort.abort();
  }

  /** Has the source drop what it keeps in memory. */
  forgetCached(): void {
    this.#options.source.forget?.();
  }

  cancelAll(): void {
    for (const seedId of this.seedIds) this.cancel(seedId);
  }

  async #fetch(request: KernelRequest, signal: AbortSignal): Promise<FetchResult> {
    try {
      return { kernel: await this.#options.source.fetch(request, signal) };
    } catch (error) {
      return { error: KasminaError.from(error, "dependency_violation") };
    }
  }

  #deadline(request: KernelRequest, abort: AbortController) {
    const { clock, deadlineMs } = this.#options;
    const { promise: passed, resolve } = deferred<FetchResult>();
    const expire = (): void => {
      const message = `no kernel of ${request.blueprintId} for ${request.seedId} within ${deadlineMs} ms`;
      resolve({
        error: new DependencyViolationError(message, {
          details: { reason: "timeout", requestId: request.requestId },
        }),
      });
      // So that the source tells a timeout, not a cancellation.
      abort.abort(new KasminaError("timeout", message));
    };
    // One more turn of the event loop: a kernel that arrived during a long step is there, not late.
    const timer = clock.setTimer(() => clock.setTimer(expire, 0), deadlineMs);
    return { passed, timer };
  }
}

/** Promise.withResolvers, which Node 20 lacks. */
function deferred<T>() {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
