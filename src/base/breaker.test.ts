import { expect, test } from "vitest";
import { Breaker } from "./breaker.js";

const limits = { failures: 3, windowMs: 30_000, cooldownMs: 10_000 };

test("so many failures within the window open it, older ones do not count", () => {
  const breaker = new Breaker(limits);
  expect([0, 10_000, 31_000].map((at) => breaker.recordFailure(at))).toEqual([false, false, false]);
  expect(breaker.recordFailure(32_000)).toBe(true);
  expect(breaker.allows(32_000)).toBe(false);
  expect(breaker.recordFailure(33_000)).toBe(false);
});

test("after the cool-down one success closes it, one failure opens it again", () => {
  const breaker = new Breaker(limits);
  breaker.open(0);
  expect([breaker.state(9_999), breaker.state(10_000)]).toEqual(["open", "half_open"]);
  expect(breaker.recordFailure(10_000)).toBe(true);
  expect(breaker.state(19_999)).toBe("open");
  expect(breaker.recordSuccess(19_999)).toBe(false);
  expect(breaker.recordSuccess(20_000)).toBe(true);
  expect(breaker.state(20_000)).toBe("closed");
});

test("a success while it is closed forgives nothing", () => {
  const breaker = new Breaker(limits);
  breaker.recordFailure(0);
  breaker.recordFailure(1);
  expect(breaker.recordSuccess(2)).toBe(false);
  expect(breaker.recordFailure(3)).toBe(true);
});

test("a snapshot puts it back", () => {
  const breaker = new Breaker(limits);
  breaker.recordFailure(0);
  const copy = new Breaker(limits);
  copy.restore(breaker.snapshot());
  expect([copy.recordFailure(1), copy.recordFailure(2)]).toEqual([false, true]);
});
