/**
 * Verified kernels in memory, least recently used first out, by artifact id: two artifacts of one blueprint are two
 * entries. What is cached is shared and never changes: a seed trains on a copy of its own ({@link copyKernel}).
 */
import type { Kernel, Tensor, TensorData } from "../../contracts/index.js";
import type { BlueprintLocks } from "./lock.js";

export interface CacheStats {
  readonly size: number;
  readonly capacity: number;
  /** hits + misses = lookups. */
  readonly hits: number;
  readonly misses: number;
  /** Entries that made room for others; those taken out on purpose are not among them. */
  readonly evictions: number;
}

export class KernelCache {
  readonly #capacity: number;
  readonly #locks: BlueprintLocks;
  /** Least recently used first. */
  readonly #kernels = new Map<string, Kernel>();
  #resets = 0;
  readonly #counts = { hits: 0, misses: 0, evictions: 0 };

  /** @param capacity artifacts held, at least 1 */
  constructor(locks: BlueprintLocks, capacity = 32) {
    if (!Number.isInteger(capacity) || capacity < 1)
      throw new RangeError(`capacity: expected a whole number of at least 1, got ${capacity}`);
    this.#locks = locks;
    this.#capacity = capacity;
  }

  get stats(): CacheStats {
    return { size: this.#kernels.size, capacity: this.#capacity, ...this.#counts };
  }

  /** Without counting as a lookup or a use. */
  holds(sha256: string): boolean {
    return this.#kernels.has(sha256);
  }

  /** The kernel, which is now the most recently used; undefined where it is not cached. Not to be changed. */
  lookup(sha256: string): Kernel | undefined {
    const kernel = this.#kernels.get(sha256);
    if (!kernel) {
      this.#counts.misses++;
      return undefined;
    }
    this.#counts.hits++;
    this.#kernels.delete(sha256);
    this.#kernels.set(sha256, kernel);
    return kernel;
  }

  /**
   * The kernel from the cache, or from `load`, which then fills the cache. The blueprint's lock is held to write, not while
   * loading, so a slow disk holds up nobody else. A `load` that rejects changes nothing. Not to be changed.
   */
  async attach(
    blueprintId: string,
    sha256: string,
    load: () => Promise<Kernel>,
    signal?: AbortSignal,
  ): Promise<Kernel> {
    const cached = this.lookup(sha256);
    if (cached) return cached;
    const resets = this.#resets;
    const kernel = await load();
    await this.#locks.withLock(blueprintId, signal, () => {
      // What began before a reset is not to be found after it.
      if (resets === this.#resets) this.#insert(sha256, kernel);
    });
    return kernel;
  }

  /** Takes one artifact out. @returns whether it was there */
  evict(blueprintId: string, sha256: string, signal?: AbortSignal): Promise<boolean> {
    return this.#locks.withLock(blueprintId, signal, () => this.#kernels.delete(sha256));
  }

  /** Takes everything out; what is being attached meanwhile does not come in. @returns how many there were */
  async reset(signal?: AbortSignal): Promise<number> {
    this.#resets++;
    const blueprints = new Set([...this.#kernels.values()].map((kernel) => kernel.blueprintId));
    let removed = 0;
    for (const blueprintId of blueprints)
      removed += await this.#locks.withLock(blueprintId, signal, () => this.#removeAllOf(blueprintId));
    return removed;
  }

  #removeAllOf(blueprintId: string): number {
    const sha256s = [...this.#kernels].filter(([, kernel]) => kernel.blueprintId === blueprintId);
    for (const [sha256] of sha256s) this.#kernels.delete(sha256);
    return sha256s.length;
  }

  #insert(sha256: string, kernel: Kernel): void {
    this.#kernels.set(sha256, kernel);
    for (const oldest of this.#kernels.keys()) {
      if (this.#kernels.size <= this.#capacity) return;
      this.#kernels.delete(oldest);
      this.#counts.evictions++;
    }
  }
}

/** The same kernel with weights of its own. */
export function copyKernel(kernel: Kernel): Kernel {
  const copies = Object.entries(kernel.tensors).map(([name, tensor]): [string, Tensor] => [
    name,
    { ...tensor, data: tensor.data.slice() as TensorData },
  ]);
  return { ...kernel, tensors: Object.fromEntries(copies) };
}
