/** A kernel source that builds kernels in the process itself: for runs without a catalog. */

import { DependencyViolationError, sha256Hex } from "../../base/index.js";
import {
  type BlueprintParameters,
  encodeSafetensors,
  type Kernel,
  type KernelRequest,
  type KernelSource,
  resolveParameters,
} from "../../contracts/index.js";
import { type Backend, trace } from "../../engine/index.js";
import { prewarmBatch, prewarmProgram } from "../../network/index.js";
import { type Blueprint, type BlueprintRegistry, initKernel } from "../../nn/index.js";
import type { Candidate } from "../../tamiyo/index.js";
import type { Mutex } from "./mutex.js";

/** Timed runs of a kernel in one round, after as many that are not counted. Few: training may be waiting. */
const PREWARM_RUNS = 10;
/** Rounds, of which the quietest counts: what another process took from the processor is not the kernel's. */
const PREWARM_ROUNDS = 2;

export interface BuiltKernelsOptions {
  readonly blueprints: BlueprintRegistry;
  readonly backend: Backend;
  /** Those of the training programs: a kernel is timed while none of them runs. */
  readonly mutex: Mutex;
  /** Rows of the batch that a kernel is prewarmed with. */
  readonly batch: number;
  /** Initial weights follow from it and the seed's id. */
  readonly seed: number;
}

export class BuiltKernels implements KernelSource {
  readonly #options: BuiltKernelsOptions;
  readonly #timed = new Map<string, Promise<number[]>>();

  constructor(options: BuiltKernelsOptions) {
    this.#options = options;
  }

  async fetch(request: KernelRequest): Promise<Kernel> {
    const { blueprints, seed } = this.#options;
    const { blueprintId, parameters, slot, seedId, trainingRunId } = request;
    const blueprint = blueprints.find(blueprintId);
    if (trainingRunId.trim() === "")
      throw new DependencyViolationError(`the request for ${seedId} names no training run`);
    if (!blueprint)
      throw new DependencyViolationError(`there is no blueprint ${blueprintId} to build for ${seedId}`);
    const tensors = initKernel(blueprint, slot.shape, parameters, kernelSeed(seed, seedId));
    const sha256 = sha256Hex(encodeSafetensors(tensors, { blueprint: blueprintId }));
    const latencies = await this.#latencies(blueprint, slot.shape, parameters);
    return {
      blueprintId,
      parameters,
      sha256,
      form: blueprint.form,
      tensors,
      prewarmP50Ms: percentile(latencies, 0.5),
      prewarmP95Ms: percentile(latencies, 0.95),
      fallbackUsed: false,
    };
  }

  /**
   * Times the kernels that a run may well ask for, before it begins: no step is then in the way, and no deadline
   * runs. Others are timed when they are asked for.
   */
  async prewarm(candidates: readonly Candidate[], shapes: readonly (readonly number[])[]): Promise<void> {
    for (const { id, parameters } of candidates) {
      const blueprint = this.#options.blueprints.get(id);
      for (const shape of shapes) {
        if (blueprint.supports(shape)) await this.#latencies(blueprint, shape, parameters);
      }
    }
  }

  /** Latencies of a kernel's forward pass in milliseconds, sorted; timed once for each blueprint, shape and parameters. */
  #latencies(
    blueprint: Blueprint,
    shape: readonly number[],
    parameters: BlueprintParameters,
  ): Promise<number[]> {
    const values = resolveParameters(blueprint, parameters);
    const sorted = Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1));
    const key = JSON.stringify([blueprint.id, shape, sorted]);
    const known = this.#timed.get(key) ?? this.#time(blueprint, shape, values);
    this.#timed.set(key, known);
    return known;
  }

  async #time(
    blueprint: Blueprint,
    shape: readonly number[],
    values: BlueprintParameters,
  ): Promise<number[]> {
    const { backend, mutex, batch } = this.#options;
    const program = await backend.compile(trace(prewarmProgram(blueprint, shape, values, batch)));
    const state = backend.createState();
    state.write(initKernel(blueprint, shape, values, 0));
    const h = prewarmBatch(shape, batch);
    const round = async (): Promise<number[]> => {
      const latencies: number[] = [];
      for (let run = 0; run < PREWARM_RUNS; run++) {
        const startMs = performance.now();
        await program.run(state, h, {});
        latencies.push(performance.now() - startMs);
      }
      return latencies.sort((a, b) => a - b);
    };
    await mutex.run(round);
    const rounds: number[][] = [];
    for (let i = 0; i < PREWARM_ROUNDS; i++) rounds.push(await mutex.run(round));
    state.dispose();
    program.dispose();
    return rounds.reduce((quietest, other) =>
      percentile(other, 0.95) < percentile(quietest, 0.95) ? other : quietest,
    );
  }
}

function percentile(sorted: readonly number[], fraction: number): number {
  return sorted[Math.floor((sorted.length - 1) * fraction)] ?? Number.NaN;
}

/** A seed of its own for each kernel of a run. */
function kernelSeed(seed: number, seedId: string): number {
  return Number.parseInt(sha256Hex(`${seed}/${seedId}`).slice(0, 8), 16);
}
