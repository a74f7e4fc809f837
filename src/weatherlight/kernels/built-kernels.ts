/** A kernel source that builds kernels in the process itself: for runs without a catalog. */

import { DependencyViolationError } from "../../base/index.js";
import { formArtifact, kernelOf } from "../../catalog/artifact.js";
import { contentOf, freshCandidate, kernelSeed } from "../../catalog/builder.js";
import { enginePrewarmer, type Prewarmer } from "../../catalog/prewarm.js";
import type { Kernel, KernelRequest } from "../../contracts/index.js";
import type { Backend } from "../../engine/index.js";
import type { BlueprintRegistry } from "../../nn/index.js";
import type { Candidate } from "../../tamiyo/index.js";
import type { Mutex } from "../grow/mutex.js";
import type { RunKernels } from "../grow/ports.js";

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

export class BuiltKernels implements RunKernels {
  readonly #blueprints: BlueprintRegistry;
  readonly #seed: number;
  readonly #prewarm: Prewarmer;

  constructor({ blueprints, backend, mutex, batch, seed }: BuiltKernelsOptions) {
    this.#blueprints = blueprints;
    this.#seed = seed;
    this.#prewarm = enginePrewarmer(backend, { batch, alone: (round) => mutex.run(round) });
  }

  /** Takes as long as it takes: there is nobody else whose answer might never come. */
  async fetch(request: KernelRequest): Promise<Kernel> {
    const { blueprintId, parameters, slot, seedId, trainingRunId, artifactSha256 } = request;
    if (trainingRunId.trim() === "")
      throw new DependencyViolationError(`the request for ${seedId} names no training run`);
    if (artifactSha256 !== undefined)
      throw new DependencyViolationError(
        `this run has no catalog that could hold artifact ${artifactSha256}`,
      );
    const blueprint = this.#blueprints.find(blueprintId);
    if (!blueprint)
      throw new DependencyViolationError(`there is no blueprint ${blueprintId} to build for ${seedId}`);
    const initSeed = request.initSeed ?? kernelSeed(this.#seed, seedId);
    const candidate = freshCandidate(blueprint, slot.shape, parameters, initSeed);
    const prewarm = await this.#prewarm(candidate);
    const origin = { kind: "built", initSeed } as const;
    const { sha256, manifest } = formArtifact(contentOf(candidate, { prewarm, origin, creator: "kasmina" }));
    return kernelOf(sha256, manifest, candidate.tensors);
  }

  /**
   * Times the kernels that a run may well ask for, before it begins: no step is then in the way. Others are timed when
   * they are asked for.
   */
  async prewarm(candidates: readonly Candidate[], shapes: readonly (readonly number[])[]): Promise<void> {
    for (const { id, parameters } of candidates) {
      const blueprint = this.#blueprints.get(id);
      for (const shape of shapes)
        if (blueprint.supports(shape)) await this.#prewarm(freshCandidate(blueprint, shape, parameters, 0));
    }
  }
}
