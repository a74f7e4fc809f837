import { expect, test } from "vitest";
import { garbageCollector } from "../../base/garbage-collector.node.js";
import { besiege } from "./forgery.fixture.js";

test("of a million forgeries none is accepted, none throws, none evicts, and memory stays flat", () => {
  const gc = garbageCollector();
  const heapMb: number[] = [];
  const siege = besiege(2, 1_000_000, (sent) => {
    if (sent % 100_000 !== 99_999) return;
    gc();
    heapMb.push(process.memoryUsage().heapUsed / 2 ** 20);
  });
  expect(siege).toMatchObject({ forgeries: 1_000_000, accepted: 0, evictions: 0 });
  const [first = 0] = heapMb;
  // A leak of 100 bytes each would be 90.
  expect(Math.max(...heapMb) - first).toBeLessThan(16);
});
