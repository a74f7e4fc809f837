/** Work in flight, by key: whoever asks for the same joins it, and the last to release it stops it. */

import { KasminaError } from "./errors.js";
import { abortable } from "./promises.js";

interface InFlight<T> {
  readonly result: Promise<T>;
  readonly controller: AbortController;
  isComplete: boolean;
  waiting: number;
}

export class JoinTable<T> {
  readonly #inFlight = new Map<string, InFlight<T>>();
  #joined = 0;

  /** Work that somebody waits for. */
  get size(): number {
    return this.#inFlight.size;
  }

  /** Callers that joined work which another had started. */
  get joined(): number {
    return this.#joined;
  }

  /**
   * What the work under `key` comes to; `start` begins it where there is none. Every caller gets the same value, or the
   * same error. Rejects with KasminaError `canceled` (or the signal's own error) once the caller's `signal` aborts; the
   * work goes on while others wait for it, and its own signal aborts when nobody does.
   */
  async join(key: string, start: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const known = this.#inFlight.get(key);
    if (known) this.#joined++;
    const work = known ?? this.#start(key, start);
    work.waiting++;
    try {
      return await abortable(work.result, signal);
    } finally {
      work.waiting--;
      if (work.waiting === 0) this.#release(key, work);
    }
  }

  #start(key: string, start: (signal: AbortSignal) => Promise<T>): InFlight<T> {
    const controller = new AbortController();
    const work: InFlight<T> = { result: start(controller.signal), controller, isComplete: false, waiting: 0 };
    const complete = (): void => {
      work.isComplete = true;
    };
    work.result.then(complete, complete);
    this.#inFlight.set(key, work);
    return work;
  }

  #release(key: string, { controller, isComplete }: InFlight<T>): void {
    this.#inFlight.delete(key);
    if (!isComplete) controller.abort(new KasminaError("canceled", "nobody waits for it any more"));
  }
}
