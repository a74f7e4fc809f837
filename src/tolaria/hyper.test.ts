import { describe, expect, test } from "vitest";
import { HyperControls } from "./hyper.js";
import { OPTIMIZERS } from "./optimizers.js";

const BASE = { momentum: 0.9, weightDecay: 0.01 };

function seedRateOf(id: keyof typeof OPTIMIZERS, learningRate: number): number {
  const { seedRate } = OPTIMIZERS[id];
  return new HyperControls({ ...BASE, learningRate }, "cosine", 100, seedRate).of("seed-1").learningRate;
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
    const hyper = new HyperControls({ ...BASE, learningRate: 0.01 }, "cosine", 100, OPTIMIZERS.adam.seedRate);
    hyper.adjust("seed-1", { learningRate: 0.02 });
    expect(hyper.of("seed-1")).toEqual({ ...BASE, learningRate: 0.02 });
    hyper.remove("seed-1");
    expect(hyper.of("seed-1")).toEqual({ ...BASE, learningRate: 0.003 });
  });

  test("stays while the host's falls, and is 0 while seeds are frozen", () => {
    const hyper = new HyperControls({ ...BASE, learningRate: 0.01 }, "linear", 100, OPTIMIZERS.adam.seedRate);
    const rates = (frozen?: boolean) => {
      const controls = hyper.at(50, ["host", "seed-1"], frozen);
      return ["host", "seed-1"].map((group) => controls[`optimizer/${group}/lr`]?.data[0]);
    };
    expect(rates()).toEqual([Math.fround(0.005), Math.fround(0.003)]);
    expect(rates(true)).toEqual([Math.fround(0.005), 0]);
  });
});
