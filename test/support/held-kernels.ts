/** Kernels whose arrival a test decides: each fetch waits until it is let go. */

import { type Deferred, deferred } from "../../src/base/index.js";
import type { Kernel, KernelRequest } from "../../src/contracts/index.js";
import { builtinBlueprints, initKernel } from "../../src/nn/index.js";
import type { RunKernels } from "../../src/weatherlight/index.js";

/** Weights follow from the seed's id, latencies are fixed: nothing about a kernel depends on when it came. */
export function kernelOf(
  { blueprintId, parameters, slot, seedId }: KernelRequest,
  blueprint = builtinBlueprints.get(blueprintId),
): Kernel {
  const initSeed = [...seedId].reduce((sum, letter) => 31 * sum + letter.charCodeAt(0), 7) % 65_536;
  return {
    blueprintId,
    parameters,
    sha256: initSeed.toString(16).padStart(64, "0"),
    form: blueprint.form,
    tensors: initKernel(blueprint, slot.shape, parameters, initSeed),
    prewarmP50Ms: 1,
    prewarmP95Ms: 2,
    fallbackUsed: false,
  };
}

/** At once. */
export const KERNELS_AT_ONCE: RunKernels = {
  fetch: (request) => Promise.resolve(kernelOf(request)),
  prewarm: () => Promise.resolve(),
};

export class HeldKernels implements RunKernels {
  readonly #waiting = new Map<string, { readonly request: KernelRequest; readonly held: Deferred<Kernel> }>();
  /** Seeds in the order in which their kernels were let go. */
  readonly arrived: string[] = [];
  readonly #onFetch: (seedId: string) => void;

  /** @param onFetch called for each request, once it waits */
  constructor(onFetch: (seedId: string) => void = () => undefined) {
    this.#onFetch = onFetch;
  }

  fetch(request: KernelRequest): Promise<Kernel> {
    const held = deferred<Kernel>();
    this.#waiting.set(request.seedId, { request, held });
    this.#onFetch(request.seedId);
    return held.promise;
  }

  prewarm(): Promise<void> {
    return Promise.resolve();
  }

  /** @throws RangeError where nobody asked for a kernel of that seed */
  letGo(seedId: string): void {
    const waiting = this.#waiting.get(seedId);
    if (!waiting) throw new RangeError(`no kernel of ${seedId} is held`);
    this.#waiting.delete(seedId);
    this.arrived.push(seedId);
    waiting.held.resolve(kernelOf(waiting.request));
  }
}
