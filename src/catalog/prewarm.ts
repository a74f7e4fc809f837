/**
 * Runs a kernel before anyone depends on it: does it compile, does it give finite values of the slot's shape, and how
 * long does a forward pass take. What it measures goes into the manifest, and gate G2 reads it.
 */
import { type Clock, KasminaError, Random, systemClock } from "../base/index.js";
import { float32, type Tensors } from "../contracts/index.js";
import { type Backend, type ProgramDefinition, trace } from "../engine/index.js";
import type { Blueprint, BlueprintParameters } from "../nn/index.js";
import type { Prewarm } from "./artifact.js";

/** A kernel that is to be tried at a slot. */
export interface KernelCandidate {
  readonly blueprint: Blueprint;
  readonly parameters: BlueprintParameters;
  /** Without the batch axis. */
  readonly slotShape: readonly number[];
  readonly tensors: Tensors;
  /** Whether it must be k = 0, as a `delta` kernel is before it has learned. */
  readonly startsAtZero: boolean;
}

/** Rejects with KasminaError `engine` or `invalid_data` for a kernel that must not be published. */
export type Prewarmer = (candidate: KernelCandidate) => Promise<Prewarm>;

export interface PrewarmOptions {
  /** Examples in a forward pass. Default 32. */
  readonly batch?: number;
  /** Timed passes, after two that are not. Default 40. */
  readonly runs?: number;
  /** Time after which no further pass is begun, though at least five are timed. Default 250. */
  readonly budgetMs?: number;
  readonly clock?: Clock;
}

const WARM_UP_RUNS = 2;
const MIN_RUNS = 5;

/** Prewarms on a back end. */
export function enginePrewarmer(backend: Backend, options: PrewarmOptions = {}): Prewarmer {
  const { batch = 32, runs = 40, budgetMs = 250, clock = systemClock } = options;
  return async (candidate) => {
    const program = await backend.compile(trace(forwardPass(candidate, batch)));
    const state = backend.createState();
    try {
      state.write(candidate.tensors);
      const shape = [batch, ...candidate.slotShape];
      const random = new Random(1);
      const h = float32(
        shape,
        Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()),
      );
      const pass = async (): Promise<ArrayLike<number>> =>
        (await program.run(state, { h }, {})).k?.data ?? [];
      for (let run = 0; run < WARM_UP_RUNS; run++) checkOutput(candidate, await pass());
      const latenciesMs: number[] = [];
      const firstMs = clock.monotonicMs();
      const mayGoOn = (): boolean =>
        latenciesMs.length < MIN_RUNS || clock.monotonicMs() - firstMs < budgetMs;
      while (latenciesMs.length < runs && mayGoOn()) {
        const startMs = clock.monotonicMs();
        await pass();
        latenciesMs.push(clock.monotonicMs() - startMs);
      }
      return { ...percentiles(latenciesMs), batch, engine: backend.name };
    } finally {
      state.dispose();
      program.dispose();
    }
  };
}

function forwardPass(
  { blueprint, parameters, slotShape, tensors }: KernelCandidate,
  batch: number,
): ProgramDefinition {
  return {
    name: `prewarm ${blueprint.id}`,
    state: tensors,
    batch: { h: { shape: [batch, ...slotShape], dtype: "float32" } },
    controls: {},
    run: (state, { h }) => {
      if (!h) throw new KasminaError("engine", "the forward pass needs h");
      const k = blueprint.apply(state, h, parameters);
      const expected = [batch, ...slotShape].join();
      if (k.shape.join() !== expected)
        throw new KasminaError("invalid_data", `${blueprint.id} maps [${expected}] to [${k.shape}]`);
      return { state: {}, outputs: { k } };
    },
  };
}

function checkOutput({ blueprint, startsAtZero }: KernelCandidate, k: ArrayLike<number>): void {
  for (let i = 0; i < k.length; i++) {
    const value = k[i] ?? 0;
    if (!Number.isFinite(value)) throw new KasminaError("invalid_data", `${blueprint.id} gives ${value}`);
    if (startsAtZero && value !== 0)
      throw new KasminaError("invalid_data", `${blueprint.id} gives ${value} before it has learned, not 0`);
  }
}

/** Nearest rank. */
function percentiles(latenciesMs: number[]): Pick<Prewarm, "p50Ms" | "p95Ms"> {
  const sorted = latenciesMs.sort((a, b) => a - b);
  const rank = (share: number): number => sorted[Math.ceil(sorted.length * share) - 1] ?? 0;
  return { p50Ms: rank(0.5), p95Ms: rank(0.95) };
}
