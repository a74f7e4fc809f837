/** Requests that are under way. Identical ones share a flight: one message, one artifact. */
import { deferred, KasminaError } from "../../base/index.js";
import type { Kernel, KernelReady, KernelRequest } from "../../contracts/index.js";
import { FetchFailure } from "./checks.js";

export interface Flight {
  readonly request: KernelRequest;
  readonly key: string;
  /** What everyone on board waits for; not to be changed. */
  readonly kernel: Promise<Kernel>;
  /** The worker's answer; rejects when the last waiter leaves before it came. */
  readonly answer: Promise<KernelReady>;
  /** Aborts when the last waiter leaves before the kernel was there. */
  readonly signal: AbortSignal;
  waiters: number;
  resolve(ready: KernelReady): void;
  reject(error: Error): void;
}

const ABANDONED = new KasminaError("canceled", "nobody waits for this kernel any more");

class OpenFlight implements Flight {
  readonly #kernel = deferred<Kernel>();
  readonly #answer = deferred<KernelReady>();
  /** Made when it is asked for: most flights end without. */
  #controller: AbortController | undefined;
  #answered = false;
  #landed = false;
  waiters = 0;

  constructor(
    readonly request: KernelRequest,
    readonly key: string,
  ) {
    // Both may be rejected when nobody waits any more.
    for (const { promise } of [this.#answer, this.#kernel]) promise.catch(() => {});
  }

  get kernel(): Promise<Kernel> {
    return this.#kernel.promise;
  }

  get answer(): Promise<KernelReady> {
    return this.#answer.promise;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  get answered(): boolean {
    return this.#answered;
  }

  resolve(ready: KernelReady): void {
    this.#answered = true;
    this.#answer.resolve(ready);
  }

  reject(error: Error): void {
    this.#answered = true;
    this.#answer.reject(error);
  }

  land(kernel: Promise<Kernel>): void {
    const landed = (): void => {
      this.#landed = true;
    };
    kernel.then(this.#kernel.resolve, this.#kernel.reject);
    kernel.then(landed, landed);
  }

  abandon(): void {
    if (this.#landed) return;
    this.reject(ABANDONED);
    this.#controller?.abort(ABANDONED);
  }
}

export class FlightTable {
  readonly #byKey = new Map<string, OpenFlight>();
  readonly #byRequestId = new Map<string, OpenFlight>();

  get size(): number {
    return this.#byKey.size;
  }

  /** The flight that waits for an answer to this request; undefined once it has one. */
  awaiting(requestId: string): Flight | undefined {
    const flight = this.#byRequestId.get(requestId);
    return flight?.answered ? undefined : flight;
  }

  /** Goes on board of the flight of an identical request, or of a new one, registered before `fly` can send it. */
  board(request: KernelRequest, fly: (flight: Flight) => Promise<Kernel>): Flight {
    const key = keyOf(request);
    const flight = this.#byKey.get(key) ?? this.#open(request, key, fly);
    flight.waiters++;
    return flight;
  }

  /** The last to leave closes the flight and stops what it still does. */
  leave(flight: Flight): void {
    flight.waiters--;
    const open = this.#byKey.get(flight.key);
    if (flight.waiters > 0 || open !== flight || !open) return;
    this.#byKey.delete(open.key);
    this.#byRequestId.delete(open.request.requestId);
    open.abandon();
  }

  #open(request: KernelRequest, key: string, fly: (flight: Flight) => Promise<Kernel>): OpenFlight {
    if (this.#byRequestId.has(request.requestId))
      throw new FetchFailure("duplicate_request_id", `another request ${request.requestId} is under way`);
    const flight = new OpenFlight(request, key);
    this.#byKey.set(key, flight);
    this.#byRequestId.set(request.requestId, flight);
    flight.land(fly(flight));
    return flight;
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
