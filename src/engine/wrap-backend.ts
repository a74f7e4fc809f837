/**
 * A back end with something around what it makes: a mutex around its programs, a count of its states, a clock. Everything
 * else is forwarded, so that a member added to the contract is added here alone.
 */
import type { Backend, Program, State } from "./backend.js";
import type { TracedProgram } from "./trace.js";

/** What to put in the place of what a back end makes; what is left out stays as it is. */
export interface BackendWrapper {
  /** Given each compiled program and the trace it was compiled from; returns what callers get in its place. */
  readonly program?: (program: Program, traced: TracedProgram) => Program;
  /** Given each new state; returns what callers get in its place. It must be the state itself, perhaps with methods replaced. */
  readonly state?: (state: State) => State;
}

/** The back end with `wrapper` around its programs and states. The owner disposes the original, or this one: it is the same. */
export function wrapBackend(backend: Backend, wrapper: BackendWrapper): Backend {
  const { program = (made) => made, state = (made) => made } = wrapper;
  return {
    name: backend.name,
    description: backend.description,
    get stats() {
      return backend.stats;
    },
    compile: async (traced) => program(await backend.compile(traced), traced),
    createState: () => state(backend.createState()),
    dispose: () => backend.dispose(),
  };
}

/** The program with another `run`; `onDispose` is called before it is disposed. */
export function wrapProgram(program: Program, run: Program["run"], onDispose?: () => void): Program {
  return {
    traced: program.traced,
    run,
    dispose() {
      onDispose?.();
      program.dispose();
    },
  };
}
