import { expect, test } from "vitest";
import { float32 } from "../../contracts/index.js";
import { LossWatch, nonFiniteIn } from "./training-failure.js";

function problems(losses: readonly number[]): (string | undefined)[] {
  const watch = new LossWatch();
  return losses.map((loss) => watch.see(loss));
}

test("a loss that is not finite is reported at once", () => {
  expect(problems([1, Number.NaN])).toEqual([undefined, "loss_not_finite"]);
  expect(problems([Number.POSITIVE_INFINITY])).toEqual(["loss_not_finite"]);
});

test("a spike that stays is reported, one hard batch is not", () => {
  const calm = Array.from({ length: 80 }, (_, i) => 0.3 + 0.1 * Math.sin(i));
  expect(problems([...calm, 6, ...calm])).not.toContain("loss_spike");
  expect(problems([...calm, ...Array.from({ length: 8 }, () => 2)])).toContain("loss_spike");
});

test("a loss near zero may rise to a small one", () => {
  const tiny = Array.from({ length: 80 }, () => 0.001);
  expect(problems([...tiny, ...Array.from({ length: 20 }, () => 0.2)])).not.toContain("loss_spike");
});

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
