/**
 * Programs of one back end, one at a time. A kernel is timed while training goes on in the same thread; without
 * turns a whole training step may fall into the timing of a kernel that takes a tenth of it, and then a gate would
 * judge the step (measured: 0.2 ms alone, up to 20 ms with a step in between).
 */
import type { Backend, Program } from "../../engine/index.js";

export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `work` when everything asked for before has ended. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

/** The back end, its programs waiting for their turn. */
export function takingTurns(backend: Backend, turns: Turns): Backend {
  return {
    name: backend.name,
    description: backend.description,
    get stats() {
      return backend.stats;
    },
    async compile(traced) {
      const program = await backend.compile(traced);
      const waiting: Program = {
        traced: program.traced,
        run: (...args) => turns.take(() => program.run(...args)),
        dispose: () => program.dispose(),
      };
      return waiting;
    },
    createState: () => backend.createState(),
    dispose: () => backend.dispose(),
  };
}
