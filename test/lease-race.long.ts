import { expect, test } from "vitest";
import { raceForLease } from "./lease-race.fixture.js";

test("ten at once, fifty rounds, with kill -9, SIGSTOP and a clock that jumps", {
  timeout: 900_000,
}, async () => {
  const result = await raceForLease(50, 10, 2);
  console.log(result);
  expect(result).toMatchObject({ overlaps: [], failures: [] });
  expect(result.killed).toBeGreaterThan(20);
  expect(result.suspended).toBeGreaterThan(20);
  expect(result.refused).toBeGreaterThan(50);
});
