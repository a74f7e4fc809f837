import { expect, test } from "vitest";

test("a host of one's own grows, and keeps what helps", async () => {
  const { result } = await import("./main.js");
  expect(result.accuracy).toBeGreaterThan(0.95);
  expect(result.seeds.map(({ seed }) => seed.stage)).toContain("FOSSILIZED");
});
