import { expect, test } from "vitest";
import { garbageCollector, idleCollector } from "./garbage-collector.node.js";

/** Something that nobody holds. */
function leaveGarbage(): WeakRef<object> {
  return new WeakRef({ values: Array.from({ length: 1_000 }, (_, i) => ({ i })) });
}

/** What weak references keep alive lives until the end of the turn. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("garbage is gone when it was collected", async () => {
  const garbage = leaveGarbage();
  await turn();
  garbageCollector()();
  expect(garbage.deref()).toBeUndefined();
});

test("a thread collects once its work has stopped", async () => {
  const worked = idleCollector(20);
  const garbage = leaveGarbage();
  for (let i = 0; i < 3; i++) worked();
  // Nothing here may hold the object itself, not even until the end of a comparison.
  await expect.poll(() => garbage.deref() === undefined, { interval: 50, timeout: 5_000 }).toBe(true);
});

test("it collects again where much has come", async () => {
  const worked = idleCollector(20);
  const first = leaveGarbage();
  worked();
  await expect.poll(() => first.deref() === undefined, { interval: 50, timeout: 5_000 }).toBe(true);
  const little = leaveGarbage();
  new ArrayBuffer(8 * 2 ** 20);
  worked();
  await expect.poll(() => little.deref() === undefined, { interval: 50, timeout: 5_000 }).toBe(true);
});
