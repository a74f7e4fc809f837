import { expect, test } from "vitest";
import { raceForLease } from "./lease-race.fixture.js";

test("of processes that go on with one run at once, never two write, and none bars the folder for good", async () => {
  const result = await raceForLease(3, 6, 1);
  expect(result).toMatchObject({ overlaps: [], failures: [] });
  expect(result.holders).toBeGreaterThan(2);
});
