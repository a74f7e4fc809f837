/**
 * The device contract: everything a back end must do. One back end is one file behind this interface, and
 * passes `backend.conformance.ts`.
 *
 * A program is one traced function `(state, batch, controls) → (state', outputs)`. State stays inside the
 * back end from run to run; batch and controls go in and outputs come out at every run.
 */
import type { Tensor, Tensors } from "../contracts/tensor.js";
import type { TracedProgram } from "./trace.js";

export type BackendName = "native" | "wasm" | "gpu" | "gpu:cuda" | "webgpu";

export interface Backend {
  readonly name: BackendName;
  /** What is running, for people: library, version, threads. */
  readonly description: string;
  /** Makes a traced program runnable. Programs of the same digest share the compiled form. */
  compile(traced: TracedProgram): Promise<Program>;
  /** A new, empty state. */
  createState(): State;
  /** How many programs were compiled, and how many compile calls the cache answered. */
  readonly stats: BackendStats;
  /** Frees everything; programs and states made here are dead afterwards. */
  dispose(): Promise<void>;
}

export interface BackendStats {
  readonly compiled: number;
  readonly cacheHits: number;
}

/** Tensors that live in the back end, by path. The owner disposes it. */
export interface State {
  readonly paths: readonly string[];
  has(path: string): boolean;
  /** Copies of the tensors at `paths` (all, where left out). An unknown path throws. */
  read(paths?: readonly string[]): Promise<Tensors>;
  /** Adds or replaces tensors; the data is copied. */
  write(tensors: Tensors): void;
  /** Gives the tensor at `from` the path `to`, without a copy. */
  rename(from: string, to: string): void;
  /** Forgets tensors and frees their memory. An unknown path throws. */
  remove(paths: readonly string[]): void;
  dispose(): void;
}

export interface Program {
  readonly traced: TracedProgram;
  /**
   * Runs once: reads the state paths the program was traced with, replaces those it returns, gives back its
   * outputs. An input that is missing or of another shape or dtype throws and leaves the state as it was.
   */
  run(state: State, batch: Tensors, controls: Tensors): Promise<Readonly<Record<string, Tensor>>>;
  dispose(): void;
}
