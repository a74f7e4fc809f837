/** Requests that are under way. Identical ones share a flight: one message, one artifact. */
import { deferred, KasminaError } from "../../base/index.js";
import type { Kernel, KernelReady, KernelRequest } from "../../contracts/index.js";
import { FetchFailure } from "./checks.js";

export interface Flight {
  readonly request: KernelRequest;
  readonly key: string;
  /** What everyone on board waits for. */
  readonly kernel: Promise<Kernel>;
  /** The worker's answer. */
  readonly answer: Promise<KernelReady>;
  /** Aborts when the last waiter has left. */
  readonly signal: AbortSignal;
  waiters: number;
  resolve(ready: KernelReady): void;
  reject(error: FetchFailure): void;
}

interface OpenFlight extends Flight {
  readonly controller: AbortController;
  answered: boolean;
}

export class FlightTable {
  readonly #byKey = new Map<string, OpenFlight>();
  readonly #byRequestId = new Map<string, OpenFlight>();

  get size(): number {
    return this.#byKey.size;
  }

  matching(request: KernelRequest): Flight | undefined {
    return this.#byKey.get(keyOf(request));
  }

  /** The flight that waits for an answer to this request; undefined once it has one. */
  awaiting(requestId: string): Flight | undefined {
    const flight = this.#byRequestId.get(requestId);
    return flight?.answered ? undefined : flight;
  }

  /** Registers the request, and only then lets `fly` send it. */
  open(request: KernelRequest, fly: (flight: Flight) => Promise<Kernel>): Flight {
    if (this.#byRequestId.has(request.requestId))
      throw new FetchFailure("duplicate_request_id", `another request ${request.requestId} is under way`);
    const controller = new AbortController();
    const answer = deferred<KernelReady>();
    const kernel = deferred<Kernel>();
    const settle = (act: () => void): void => {
      flight.answered = true;
      act();
    };
    const flight: OpenFlight = {
      request,
      key: keyOf(request),
      kernel: kernel.promise,
      answer: answer.promise,
      signal: controller.signal,
      controller,
      waiters: 0,
      answered: false,
      resolve: (ready) => settle(() => answer.resolve(ready)),
      reject: (error) => settle(() => answer.reject(error)),
    };
    // Both may be rejected when nobody waits any more.
    for (const promise of [answer.promise, kernel.promise]) promise.catch(() => {});
    this.#byKey.set(flight.key, flight);
    this.#byRequestId.set(request.requestId, flight);
    fly(flight).then(kernel.resolve, kernel.reject);
    return flight;
  }

  /** Forgets the flight and stops what it still does. */
  close(flight: Flight): void {
    const open = this.#byRequestId.get(flight.request.requestId);
    if (open !== flight || !open) return;
    this.#byKey.delete(open.key);
    this.#byRequestId.delete(open.request.requestId);
    open.controller.abort(new KasminaError("canceled", "nobody waits for this kernel any more"));
  }
}

/** What makes two requests the same: everything but who asks and when. */
function keyOf(request: KernelRequest): string {
  const parameters = Object.entries(request.parameters).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([
    request.trainingRunId,
    request.blueprintId,
    parameters,
    request.slot.shape,
    request.artifactSha256 ?? "",
    request.initSeed ?? 0,
  ]);
}
