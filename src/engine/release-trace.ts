/**
 * Frees what a trace leaves behind. jax-js 0.1.25 pushes an interpreter for every gradient and never takes it off its
 * stack (`partialEvalFlat` in its `frontend/linearize.ts`), so that the interpreter of the trace around it stays there
 * instead, with every equation it has seen: 2 MB for the step of a small network, for as long as the process lives. What
 * it holds is let go of here; a few bytes stay. This can go when jax-js disposes of that interpreter.
 */
import type { Array as JaxArray } from "@jax-js/jax";

type FlatFunction = (...arrays: JaxArray[]) => JaxArray[];

export interface WatchedFunction {
  /** As the given one. */
  readonly run: FlatFunction;
  /** Frees what traces of `run` have left. Not while one is under way. */
  readonly release: () => void;
}

/** Watches which interpreters trace a function. */
export function watchTraces(flat: FlatFunction): WatchedFunction {
  const left = new Set<JaxArray["_trace"]["main"]>();
  return {
    run: (...arrays) => {
      // While it is traced its inputs are tracers, and name their interpreter.
      const [first] = arrays;
      if (first) left.add(first._trace.main);
      return flat(...arrays);
    },
    release: () => {
      for (const main of left) main.globalData = null;
      left.clear();
    },
  };
}
