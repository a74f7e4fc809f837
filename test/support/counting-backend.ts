/** A back end that tells what is alive in it. */
import type { Backend, Program, State } from "../../src/engine/index.js";

export interface Alive {
  readonly programs: number;
  readonly states: number;
  /** Tensors, over all states. */
  readonly tensors: number;
}

export class CountingBackend implements Backend {
  readonly #backend: Backend;
  readonly #programs = new Set<Program>();
  readonly #states = new Set<State>();

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  get name() {
    return this.#backend.name;
  }

  get description() {
    return this.#backend.description;
  }

  get stats() {
    return this.#backend.stats;
  }

  get alive(): Alive {
    const tensors = [...this.#states].reduce((sum, state) => sum + state.paths.length, 0);
    return { programs: this.#programs.size, states: this.#states.size, tensors };
  }

  async compile(traced: Program["traced"]): Promise<Program> {
    const program = await this.#backend.compile(traced);
    this.#programs.add(program);
    return onDispose(program, () => this.#programs.delete(program));
  }

  createState(): State {
    const state = this.#backend.createState();
    this.#states.add(state);
    const dispose = state.dispose.bind(state);
    state.dispose = () => {
      this.#states.delete(state);
      dispose();
    };
    return state;
  }

  dispose(): Promise<void> {
    return this.#backend.dispose();
  }
}

function onDispose(program: Program, hear: () => void): Program {
  const dispose = program.dispose.bind(program);
  program.dispose = () => {
    hear();
    dispose();
  };
  return program;
}
