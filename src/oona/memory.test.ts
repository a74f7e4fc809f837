import { expect, test } from "vitest";
import { ManualClock, utf8 } from "../base/index.js";
import { busConformance } from "./bus.conformance.js";
import { MemoryBus } from "./memory.js";

async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

busConformance("memory", async (limits) => {
  const clock = new ManualClock();
  const elapse = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 5) {
      await settle();
      clock.advance(Math.min(5, ms - passed));
    }
    await settle();
  };
  return { bus: new MemoryBus({ ...limits, clock }), elapse };
});

test("no timer is left when all is acknowledged, or the bus is closed", async () => {
  const clock = new ManualClock();
  const bus = new MemoryBus({ clock });
  await bus.subscribe("t", "good", () => {});
  await bus.publish("t", utf8("m"));
  await settle();
  expect(clock.pendingTimers).toBe(0);
  await bus.subscribe("t", "bad", () => Promise.reject(new Error("no")));
  await bus.subscribe("t", "stuck", () => new Promise(() => {}));
  await bus.publish("t", utf8("m"));
  await settle();
  expect(clock.pendingTimers).toBe(2);
  await bus.close();
  expect(clock.pendingTimers).toBe(0);
});
