import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ManualClock, Random } from "../../base/index.js";
import { BlueprintLocks, type LockContention } from "./lock.js";

async function settle(): Promise<void> {
  for (let i = 0; i < 8; i++) await Promise.resolve();
}

describe("the lock of a blueprint", () => {
  test("64 contenders: one holder, first come first served, cancelled ones leave, long waits are reported", async () => {
    const clock = new ManualClock();
    const contentions: LockContention[] = [];
    const locks = new BlueprintLocks({ clock, onContention: (contention) => contentions.push(contention) });
    const random = new Random(5);
    const order: number[] = [];
    const cancelled = new Set<number>();
    let holders = 0;
    const work = Array.from({ length: 64 }, async (_, i) => {
      const controller = new AbortController();
      if (i > 0 && i % 5 === 0) clock.setTimer(() => controller.abort(), 15);
      const holdMs = 10 + random.below(10);
      try {
        await locks.withLock("mlp", controller.signal, async () => {
          expect(++holders).toBe(1);
          order.push(i);
          await new Promise<void>((resolve) => clock.setTimer(resolve, holdMs));
          holders--;
        });
      } catch (error) {
        expect(error).toMatchObject({ code: "canceled" });
        cancelled.add(i);
      }
    });
    while (clock.pendingTimers > 0) {
      clock.advance(1);
      await settle();
    }
    await Promise.all(work);
    const expected = Array.from({ length: 64 }, (_, i) => i).filter((i) => !cancelled.has(i));
    expect(order).toEqual(expected);
    expect(cancelled.size).toBe(12);
    expect(locks.stats).toMatchObject({ acquired: 52, canceled: 12, contended: contentions.length });
    expect(contentions.length).toBeGreaterThan(30);
    for (const { waitedMs } of contentions) expect(waitedMs).toBeGreaterThan(100);
    expect(locks.held).toEqual([]);
    expect(locks.stats.waitMsMax).toBeGreaterThan(500);
  });

  test("blueprints do not wait for each other", async () => {
    const locks = new BlueprintLocks();
    const releaseA = await locks.acquire("a");
    const releaseB = await locks.acquire("b");
    expect(locks.held).toEqual(["a", "b"]);
    releaseA();
    expect(locks.held).toEqual(["b"]);
    releaseB();
  });

  test("releasing twice does not let two in", async () => {
    const locks = new BlueprintLocks();
    const release = await locks.acquire("a");
    const second = locks.acquire("a");
    let thirdHolds = false;
    void locks.acquire("a").then(() => {
      thirdHolds = true;
    });
    release();
    release();
    await second;
    await settle();
    expect(thirdHolds).toBe(false);
  });

  test("work that throws gives the lock back", async () => {
    const locks = new BlueprintLocks();
    const failing = locks.withLock("a", undefined, () => Promise.reject(new Error("no")));
    await expect(failing).rejects.toThrow("no");
    expect(locks.held).toEqual([]);
  });

  test("a signal that is already aborted never queues", async () => {
    const locks = new BlueprintLocks();
    await expect(locks.acquire("a", AbortSignal.abort())).rejects.toMatchObject({ code: "canceled" });
    expect(locks.held).toEqual([]);
  });

  test("a wait that never ends is reported while it lasts", async () => {
    const clock = new ManualClock();
    const contentions: LockContention[] = [];
    const locks = new BlueprintLocks({ clock, onContention: (contention) => contentions.push(contention) });
    await locks.acquire("a");
    void locks.acquire("a");
    clock.advance(100);
    expect(contentions).toEqual([]);
    clock.advance(1);
    expect(contentions).toEqual([{ blueprintId: "a", waitedMs: 101, waiters: 1 }]);
    clock.advance(10_000);
    expect(contentions).toHaveLength(1);
  });

  test("any schedule of acquiring, releasing and cancelling is fair and exclusive", async () => {
    const step = fc.record({
      kind: fc.constantFrom<"acquire" | "release" | "cancel">("acquire", "acquire", "release", "cancel"),
      blueprint: fc.constantFrom("a", "b"),
      id: fc.nat(20),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const schedule = new Schedule();
        for (const { kind, blueprint, id } of steps) {
          schedule[kind](blueprint, id);
          await settle();
          expect(schedule.holding).toEqual(schedule.expected);
        }
      }),
      { numRuns: 100 },
    );
  });
});

/** Real locks beside the plainest model of them: for each blueprint a list, the holder first. */
class Schedule {
  readonly #locks = new BlueprintLocks({ clock: new ManualClock() });
  readonly #queues = new Map<string, number[]>();
  readonly #granted = new Map<number, () => void>();
  readonly #controllers: AbortController[] = [];

  /** Ids that hold a lock, by the model. */
  get expected(): number[] {
    return [...this.#queues.values()].flatMap((queue) => queue.slice(0, 1)).sort();
  }

  get holding(): number[] {
    return [...this.#granted.keys()].sort();
  }

  acquire(blueprint: string): void {
    const controller = new AbortController();
    const id = this.#controllers.push(controller) - 1;
    this.#queues.set(blueprint, [...(this.#queues.get(blueprint) ?? []), id]);
    this.#locks.acquire(blueprint, controller.signal).then(
      (release) => this.#granted.set(id, release),
      () => {},
    );
  }

  release(blueprint: string): void {
    const holder = this.#queues.get(blueprint)?.shift();
    if (holder === undefined) return;
    this.#granted.get(holder)?.();
    this.#granted.delete(holder);
  }

  /** Of the holder, it changes nothing. */
  cancel(_blueprint: string, id: number): void {
    this.#controllers[id]?.abort();
    for (const [name, [holder, ...waiting]] of this.#queues) {
      const left = waiting.filter((other) => other !== id);
      this.#queues.set(name, holder === undefined ? [] : [holder, ...left]);
    }
  }
}
