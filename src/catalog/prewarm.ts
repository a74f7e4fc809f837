/**
 * Runs a kernel before anyone depends on it: does it compile, does it give finite values of the slot's shape, and how
 * long does a forward pass take there. The one measurement of a kernel's latency: what it finds goes into the manifest
 * and to gate G2, however a run gets its kernels.
 */

import { type Clock, KasminaError, percentile, Random, systemClock } from "../base/index.js";
import { type BlueprintParameters, float32, sizeOf, type Tensor, type Tensors } from "../contracts/index.js";
import { type Backend, type ProgramDefinition, type TracedProgram, trace } from "../engine/index.js";
import type { Blueprint } from "../nn/index.js";
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
  /** Timed passes in a round. Default 20. */
  readonly runs?: number;
  /** Time after which no further round begins, though there are at least two. Default 250. */
  readonly budgetMs?: number;
  readonly clock?: Clock;
  /**
   * Runs a round while nothing else runs on the back end. Default: at once. Where training goes on in the same thread, a
   * whole step may else fall into the timing of a kernel that takes a tenth of it.
   */
  readonly alone?: <T>(round: () => Promise<T>) => Promise<T>;
}

type Timing = Required<Omit<PrewarmOptions, "batch">>;
type Latencies = Pick<Prewarm, "p50Ms" | "p95Ms">;

const DEFAULT_TIMING: Timing = { runs: 20, budgetMs: 250, clock: systemClock, alone: (round) => round() };
const MIN_RUNS = 5;
/** Of the activations of a pass: 256 MiB. What an artifact asks for is looked at before it is allocated. */
const MAX_ELEMENTS = 64 * 1024 * 1024;
/** Rounds, of which the quietest counts: what other programs took from the processor is not the kernel's. */
const MIN_ROUNDS = 2;
const MAX_ROUNDS = 16;
/** Kinds of kernels whose latencies are remembered. */
const REMEMBERED_KINDS = 1024;
/** Traced programs that are kept, so that the second kernel of a kind is not traced again. */
const REMEMBERED_PROGRAMS = 32;

function checkSize(slotShape: readonly number[], batch: number): void {
  if (batch * sizeOf(slotShape) <= MAX_ELEMENTS) return;
  throw new KasminaError(
    "invalid_data",
    `a kernel for a slot of shape [${slotShape}] is not tried: ${batch} rows would have more than ${MAX_ELEMENTS} elements`,
  );
}

/**
 * Prewarms on a back end. Every kernel is run and checked; latencies are measured once for each blueprint, slot shape and
 * parameters, since the weights make no difference to them.
 */
export function enginePrewarmer(backend: Backend, options: PrewarmOptions = {}): Prewarmer {
  const { batch = 32, ...timing } = { ...DEFAULT_TIMING, ...options };
  const known = new Map<string, Latencies>();
  const programs = new Map<string, TracedProgram>();
  return async (candidate) => {
    checkSize(candidate.slotShape, batch);
    const key = kindOf(candidate);
    const traced = programs.get(key) ?? trace(forwardPass(candidate, batch));
    if (programs.size < REMEMBERED_PROGRAMS) programs.set(key, traced);
    const program = await backend.compile(traced);
    const state = backend.createState();
    try {
      state.write(candidate.tensors);
      const h = noise([batch, ...candidate.slotShape]);
      const pass = async (): Promise<ArrayLike<number>> =>
        (await program.run(state, { h }, {})).k?.data ?? [];
      checkOutput(candidate, await timing.alone(pass));
      const latencies = known.get(key) ?? (await quietestRound(pass, timing));
      if (known.size < REMEMBERED_KINDS) known.set(key, latencies);
      return { ...latencies, batch, engine: backend.name };
    } finally {
      state.dispose();
      program.dispose();
    }
  };
}

function noise(shape: readonly number[]): Tensor {
  const random = new Random(1);
  return float32(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, () => random.normal()),
  );
}

function kindOf({ blueprint, slotShape, parameters }: KernelCandidate): string {
  const sorted = Object.entries(parameters).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([blueprint.id, slotShape, sorted]);
}

async function quietestRound(pass: () => Promise<unknown>, timing: Timing): Promise<Latencies> {
  const { budgetMs, clock } = timing;
  const rounds: Latencies[] = [];
  const firstMs = clock.monotonicMs();
  const mayGoOn = (): boolean => rounds.length < MIN_ROUNDS || clock.monotonicMs() - firstMs < budgetMs;
  while (rounds.length < MAX_ROUNDS && mayGoOn()) {
    const latenciesMs = await timing.alone(() => timedRound(pass, timing));
    rounds.push({ p50Ms: percentile(latenciesMs, 0.5), p95Ms: percentile(latenciesMs, 0.95) });
  }
  return rounds.reduce((quietest, other) => (other.p95Ms < quietest.p95Ms ? other : quietest));
}

/** A kernel so slow that a round would outlast the budget is timed fewer times. */
async function timedRound(
  pass: () => Promise<unknown>,
  { runs, budgetMs, clock }: Timing,
): Promise<readonly number[]> {
  const latenciesMs: number[] = [];
  const firstMs = clock.monotonicMs();
  const mayGoOn = (): boolean =>
    latenciesMs.length < MIN_RUNS || clock.monotonicMs() - firstMs < budgetMs / MIN_ROUNDS;
  while (latenciesMs.length < runs && mayGoOn()) {
    const startMs = clock.monotonicMs();
    await pass();
    latenciesMs.push(clock.monotonicMs() - startMs);
  }
  return latenciesMs;
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
