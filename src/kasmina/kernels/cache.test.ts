import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { float32, type Kernel } from "../../contracts/index.js";
import { copyKernel, KernelCache } from "./cache.js";
import { BlueprintLocks } from "./lock.js";

function kernelOf(blueprintId: string, sha256: string, value = 1): Kernel {
  return {
    blueprintId,
    parameters: {},
    sha256,
    form: "delta",
    tensors: { w: float32([2], value) },
    prewarmP50Ms: 1,
    prewarmP95Ms: 2,
    fallbackUsed: false,
  };
}

describe("the kernel cache", () => {
  test("a seed gets a copy: training it changes neither the cache nor another seed", async () => {
    const cache = new KernelCache(new BlueprintLocks());
    const first = copyKernel(await cache.attach("mlp", "s1", async () => kernelOf("mlp", "s1")));
    first.tensors.w?.data.fill(7);
    expect(cache.lookup("s1")?.tensors.w?.data[0]).toBe(1);
    expect(first.tensors.w).toEqual(float32([2], 7));
  });

  test("two that load the same artifact at once both get it, and it is one entry", async () => {
    const cache = new KernelCache(new BlueprintLocks());
    const load = async (): Promise<Kernel> => kernelOf("mlp", "s1");
    const both = await Promise.all([1, 2].map(() => cache.attach("mlp", "s1", load)));
    expect(both).toEqual([kernelOf("mlp", "s1"), kernelOf("mlp", "s1")]);
    expect(cache.stats).toMatchObject({ hits: 0, misses: 2, size: 1 });
  });

  test("a load that fails leaves nothing behind, and the next one is tried", async () => {
    const cache = new KernelCache(new BlueprintLocks());
    const failing = cache.attach("mlp", "s1", () => Promise.reject(new Error("gone")));
    const next = cache.attach("mlp", "s1", async () => kernelOf("mlp", "s1"));
    await expect(failing).rejects.toThrow("gone");
    expect((await next).sha256).toBe("s1");
    expect(cache.stats).toMatchObject({ hits: 0, misses: 2, size: 1 });
  });

  test("a reset keeps out what is being attached, and nothing that is attached after it", async () => {
    const cache = new KernelCache(new BlueprintLocks());
    let finish: () => void = () => {};
    const loading = cache.attach(
      "mlp",
      "s1",
      () =>
        new Promise((resolve) => {
          finish = () => resolve(kernelOf("mlp", "s1"));
        }),
    );
    await cache.attach("conv", "s2", async () => kernelOf("conv", "s2"));
    const reset = cache.reset();
    const after = cache.attach("mlp", "s3", async () => kernelOf("mlp", "s3"));
    finish();
    await Promise.all([loading, after]);
    expect(await reset).toBe(1);
    expect([cache.holds("s1"), cache.holds("s2"), cache.holds("s3")]).toEqual([false, false, true]);
  });

  test("a reset can be given up", async () => {
    const locks = new BlueprintLocks();
    const cache = new KernelCache(locks);
    await cache.attach("mlp", "s1", async () => kernelOf("mlp", "s1"));
    await locks.acquire("mlp");
    const controller = new AbortController();
    const reset = cache.reset(controller.signal);
    controller.abort();
    await expect(reset).rejects.toMatchObject({ code: "canceled" });
  });

  test("a slow load holds up no other artifact of its blueprint", async () => {
    const cache = new KernelCache(new BlueprintLocks());
    void cache.attach("mlp", "s1", () => new Promise(() => {}));
    expect((await cache.attach("mlp", "s2", async () => kernelOf("mlp", "s2"))).sha256).toBe("s2");
  });

  test.each([0, -1, 1.5, Number.NaN])("refuses a capacity of %d", (capacity) => {
    expect(() => new KernelCache(new BlueprintLocks(), capacity)).toThrow(RangeError);
  });

  test("model: any sequence of look-ups, attaches, evictions and resets", async () => {
    const action = fc.record({
      kind: fc.constantFrom<ActionKind>(
        "attach",
        "attach",
        "attach",
        "lookup",
        "lookup",
        "fail",
        "evict",
        "reset",
      ),
      sha: fc.constantFrom(...IDS),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(action, { maxLength: 60 }),
        fc.integer({ min: 1, max: 4 }),
        async (actions, capacity) => {
          const cache = new KernelCache(new BlueprintLocks(), capacity);
          const model = new CacheModel(capacity);
          for (const { kind, sha } of actions) {
            await ACTIONS[kind](cache, model, sha);
            expect(cache.stats).toEqual(model.stats);
            for (const id of IDS) expect(cache.holds(id)).toBe(model.order.includes(id));
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});

/** Two blueprints, a and b, with three artifacts each. */
const IDS = ["a1", "a2", "a3", "b1", "b2", "b3"] as const;

/** The cache as a plain list, least recently used first. */
class CacheModel {
  order: string[] = [];
  readonly counts = { hits: 0, misses: 0, evictions: 0 };

  constructor(readonly capacity: number) {}

  get stats() {
    return { size: this.order.length, capacity: this.capacity, ...this.counts };
  }

  use(id: string): boolean {
    const hit = this.order.includes(id);
    this.counts[hit ? "hits" : "misses"]++;
    if (hit) this.order = [...this.order.filter((other) => other !== id), id];
    return hit;
  }

  insert(id: string): void {
    this.order.push(id);
    if (this.order.length <= this.capacity) return;
    this.order.shift();
    this.counts.evictions++;
  }

  remove(id: string): boolean {
    const there = this.order.includes(id);
    this.order = this.order.filter((other) => other !== id);
    return there;
  }
}

type ActionKind = "attach" | "lookup" | "fail" | "evict" | "reset";
const blueprintOf = (sha: string): string => sha.slice(0, 1);

const ACTIONS: Record<ActionKind, (cache: KernelCache, model: CacheModel, sha: string) => Promise<void>> = {
  async attach(cache, model, sha) {
    const kernel = await cache.attach(blueprintOf(sha), sha, async () => kernelOf(blueprintOf(sha), sha));
    if (!model.use(sha)) model.insert(sha);
    expect(kernel.sha256).toBe(sha);
  },
  async lookup(cache, model, sha) {
    expect(cache.lookup(sha)?.sha256).toBe(model.use(sha) ? sha : undefined);
  },
  async fail(cache, model, sha) {
    const attached = cache.attach(blueprintOf(sha), sha, () => Promise.reject(new Error("no")));
    const succeeded = await attached.then(
      () => true,
      () => false,
    );
    expect(succeeded).toBe(model.use(sha));
  },
  async evict(cache, model, sha) {
    expect(await cache.evict(blueprintOf(sha), sha)).toBe(model.remove(sha));
  },
  async reset(cache, model) {
    expect(await cache.reset()).toBe(model.order.length);
    model.order = [];
  },
};
