/** A kernel source that builds kernels in the process itself: for runs without a catalog. */
import { DependencyViolationError, sha256Hex } from "../base/index.js";
import { encodeSafetensors, type Kernel, type KernelRequest, type KernelSource } from "../contracts/index.js";
import { type Backend, trace } from "../engine/index.js";
import { prewarmBatch, prewarmProgram } from "../kasmina/index.js";
import { type BlueprintRegistry, initKernel } from "../nn/index.js";

/** Runs of a kernel before and while it is timed. Few: training may be waiting. */
const WARM_UP_RUNS = 2;
const PREWARM_RUNS = 10;

export interface BuiltKernelsOptions {
  readonly blueprints: BlueprintRegistry;
  readonly backend: Backend;
  /** Rows of the batch that a kernel is prewarmed with. */
  readonly batch: number;
  /** Initial weights follow from it and the seed's id. */
  readonly seed: number;
}

export class BuiltKernels implements KernelSource {
  readonly #options: BuiltKernelsOptions;

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
    const latencies = await this.#prewarm(request, tensors);
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

  /** Latencies of the kernel's forward pass in milliseconds, sorted. */
  async #prewarm(
    { blueprintId, parameters, slot }: KernelRequest,
    tensors: Kernel["tensors"],
  ): Promise<number[]> {
    const { blueprints, backend, batch } = this.#options;
    const program = await backend.compile(
      trace(prewarmProgram(blueprints.get(blueprintId), slot.shape, parameters, batch)),
    );
    const state = backend.createState();
    state.write(tensors);
    const h = prewarmBatch(slot.shape, batch);
    const latencies: number[] = [];
    for (let run = -WARM_UP_RUNS; run < PREWARM_RUNS; run++) {
      const startMs = performance.now();
      await program.run(state, h, {});
      if (run >= 0) latencies.push(performance.now() - startMs);
    }
    state.dispose();
    program.dispose();
    return latencies.sort((a, b) => a - b);
  }
}

function percentile(sorted: readonly number[], fraction: number): number {
  return sorted[Math.floor((sorted.length - 1) * fraction)] ?? Number.NaN;
}

/** A seed of its own for each kernel of a run. */
function kernelSeed(seed: number, seedId: string): number {
  return Number.parseInt(sha256Hex(`${seed}/${seedId}`).slice(0, 8), 16);
}
