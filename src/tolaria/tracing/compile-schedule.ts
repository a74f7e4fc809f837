/** Compiling takes the training thread: one piece after each step, so that no two lie between the same two steps. */
import { deferred } from "../../base/index.js";

export class CompileSchedule {
  readonly #waiting = new Set<() => void>();

  /** Resolves after a training step, for one caller a step, the first first; for an urgent caller at once. */
  next(urgent: Promise<void>): Promise<void> {
    const { promise, resolve } = deferred<void>();
    this.#waiting.add(resolve);
    void urgent.then(() => {
      this.#waiting.delete(resolve);
      resolve();
    });
    return promise;
  }

  /** Says that a training step has ended. */
  afterStep(): void {
    const [first] = this.#waiting;
    if (!first) return;
    this.#waiting.delete(first);
    first();
  }
}
