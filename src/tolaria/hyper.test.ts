import { describe, expect, test } from "vitest";
import { HyperControls, type RateSchedule, scheduleFactor, warmupSteps } from "./hyper.js";
import { OPTIMIZERS } from "./optimizers.js";

const BASE = { momentum: 0.9, weightDecay: 0.01 };

function seedRateOf(id: keyof typeof OPTIMIZERS, learningRate: number): number {
  const { seedRate } = OPTIMIZERS[id];
  return new HyperControls({ ...BASE, learningRate }, { id: "cosine", totalSteps: 100 }, seedRate).of(
    "seed-1",
  ).learningRate;
}

describe("a seed's learning rate", () => {
  test.each([
    ["adam", 0.0005, 0.0015],
    ["adam", 0.001, 0.003],
    ["adam", 0.01, 0.003],
    ["adamw", 0.01, 0.003],
    ["sgd", 0.05, 0.05],
  ] as const)("with %s beside a host at %f is %f", (id, host, seed) =>
    expect(seedRateOf(id, host)).toBeCloseTo(seed, 12));

  test("is what a command says, and the rule's again when its group is gone", () => {
    const hyper = new HyperControls(
      { ...BASE, learningRate: 0.01 },
      { id: "cosine", totalSteps: 100 },
      OPTIMIZERS.adam.seedRate,
    );
    hyper.adjust("seed-1", { learningRate: 0.02 });
    expect(hyper.of("seed-1")).toEqual({ ...BASE, learningRate: 0.02 });
    hyper.remove("seed-1");
    expect(hyper.of("seed-1")).toEqual({ ...BASE, learningRate: 0.003 });
  });

  test("stays while the host's falls, and is 0 while seeds are frozen", () => {
    const hyper = new HyperControls(
      { ...BASE, learningRate: 0.01 },
      { id: "linear", totalSteps: 100 },
      OPTIMIZERS.adam.seedRate,
    );
    const rates = (frozen?: boolean) => {
      const controls = hyper.at(50, ["host", "seed-1"], frozen);
      return ["host", "seed-1"].map((group) => controls[`optimizer/${group}/lr`]?.data[0]);
    };
    expect(rates()).toEqual([Math.fround(0.005), Math.fround(0.003)]);
    expect(rates(true)).toEqual([Math.fround(0.005), 0]);
  });
});

describe("a schedule", () => {
  const ratesAt = (step: number, schedule: Omit<RateSchedule, "totalSteps">) => {
    const hyper = new HyperControls({ ...BASE, learningRate: 0.5 }, { totalSteps: 100, ...schedule });
    const controls = hyper.at(step, ["host", "seed-1"]);
    return ["host", "seed-1"].map((group) => controls[`optimizer/${group}/lr`]?.data[0]);
  };

  test.each([
    "constant",
    "cosine",
    "linear",
  ] as const)("%s that all follow gives host and seed the same rate", (id) => {
    for (const step of [0, 3, 10, 50, 99]) {
      const rate = Math.fround(0.5 * scheduleFactor(id, step, 100, 10));
      expect(ratesAt(step, { id, warmupSteps: 10, followedBy: "all" })).toEqual([rate, rate]);
    }
  });

  test("that the host alone follows leaves a seed its rate", () =>
    expect(ratesAt(99, { id: "linear", warmupSteps: 10 })).toEqual([Math.fround(0.5 * (1 - 89 / 90)), 0.5]));

  test("rises over the warm-up and never after it", () => {
    const factors = Array.from({ length: 100 }, (_, step) => scheduleFactor("cosine", step, 100, 10));
    const rises = factors.flatMap((factor, step) =>
      step > 0 && factor > (factors[step - 1] ?? 0) ? [step] : [],
    );
    expect(rises).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(factors[10]).toBe(1);
  });

  test.each([
    [0, 0],
    [30, 30],
    ["5%", 10],
    ["2.5%", 5],
    ["100%", 200],
  ] as const)("warms up for %s of 200 steps: %i", (warmup, steps) =>
    expect(warmupSteps(warmup, 200)).toBe(steps));
});
