/**
 * Programs of one back end, one at a time. A kernel is timed while training goes on in the same thread; without
 * a mutex a whole training step may fall into the timing of a kernel that takes a tenth of it, and then a gate would
 * judge the step (measured: 0.2 ms alone, up to 20 ms with a step in between).
 */
import { type Backend, wrapBackend, wrapProgram } from "../../engine/index.js";

export class Mutex {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `work` when everything asked for before has ended. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

/** The back end, its programs waiting for the mutex. */
export function exclusive(backend: Backend, mutex: Mutex): Backend {
  return wrapBackend(backend, {
    program: (program) => wrapProgram(program, (...args) => mutex.run(() => program.run(...args))),
  });
}
