/** A back end of which a test sees what is alive in it. */
import { type Backend, type Program, type State, wrapBackend, wrapProgram } from "../../src/engine/index.js";

export interface Alive {
  readonly programs: number;
  readonly states: number;
  /** Tensors, over all states. */
  readonly tensors: number;
}

export class CountingBackend {
  /** The back end to use. */
  readonly backend: Backend;
  readonly #programs = new Set<Program>();
  readonly #states = new Set<State>();

  constructor(backend: Backend) {
    this.backend = wrapBackend(backend, {
      program: (program) => this.#count(program),
      state: (state) => this.#countState(state),
    });
  }

  get alive(): Alive {
    const tensors = [...this.#states].reduce((sum, state) => sum + state.paths.length, 0);
    return { programs: this.#programs.size, states: this.#states.size, tensors };
  }

  #count(program: Program): Program {
    this.#programs.add(program);
    const forget = () => this.#programs.delete(program);
    return wrapProgram(program, (...args) => program.run(...args), forget);
  }

  #countState(state: State): State {
    this.#states.add(state);
    const dispose = state.dispose.bind(state);
    state.dispose = () => {
      this.#states.delete(state);
      dispose();
    };
    return state;
  }
}
