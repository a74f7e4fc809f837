import { expect, test } from "vitest";
import { LossWatch } from "./loss-watch.js";

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
