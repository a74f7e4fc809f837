import { expect, test } from "vitest";
import { float32 } from "../../contracts/index.js";
import { nonFiniteIn } from "./non-finite.js";

const bad = float32([2], [1, Number.NaN]);

test.each([
  ["seed/s1/up", { host: false, seedIds: ["s1"] }],
  ["optimizer/m/seed/s1/up", { host: false, seedIds: ["s1"] }],
  ["optimizer/count/seed/s1", { host: false, seedIds: ["s1"] }],
  ["host/block1/up", { host: true, seedIds: [] }],
  ["host/grown/seed/up", { host: true, seedIds: [] }],
  ["optimizer/v/host/grown/s1/up", { host: true, seedIds: [] }],
])("%s that is not finite is its owner's", (path, owners) => {
  expect(nonFiniteIn({ [path]: bad, "host/ok": float32([1], 0), "seed/s2/ok": float32([1], 0) })).toEqual(
    owners,
  );
  expect(nonFiniteIn({ [path]: float32([1], Number.POSITIVE_INFINITY) })).toEqual(owners);
  expect(nonFiniteIn({ [path]: float32([1], 3e38) })).toEqual({ host: false, seedIds: [] });
});
