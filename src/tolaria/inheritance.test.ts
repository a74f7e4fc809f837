/** What of a network is taken along into a run that goes on from it. */
import { describe, expect, test } from "vitest";
import { DEFAULT_BLEND, float32, type Stage } from "../contracts/index.js";
import type { Seed } from "../kasmina/index.js";
import { inheritanceOf } from "./inheritance.js";

const KERNEL = {
  blueprintId: "low-rank",
  parameters: {},
  sha256: "0".repeat(64),
  form: "delta",
  prewarmP50Ms: 1,
  prewarmP95Ms: 1,
  fallbackUsed: false,
} as const;

function seed(id: string, stage: Stage, more: Partial<Seed> = {}): Seed {
  return {
    ...{ id, slotId: "block1", blueprintId: "low-rank", parameters: {}, stage, kernel: KERNEL },
    ...{ blend: DEFAULT_BLEND, rampStartStep: 0, germinationOrder: 0, germinatedAtStep: 0 },
    stats: { gradientNorms: [1], losses: [1], isolationViolations: 2 },
    ...more,
  };
}

function inherited(seeds: readonly Seed[], { step = 1_000, keepOptimizer = false } = {}) {
  const modules = seeds.map(({ id, stage }) => (stage === "FOSSILIZED" ? `host/grown/${id}` : `seed/${id}`));
  const paths = ["host/stem", ...modules].flatMap((module) => [
    `${module}/down/w`,
    `optimizer/m/${module}/down/w`,
    `optimizer/count/${module}/down`,
  ]);
  const tensors = Object.fromEntries(paths.map((path, i) => [path, float32([1], [i])]));
  return { ...inheritanceOf({ tensors, kasmina: { seeds }, step }, keepOptimizer), tensors };
}

describe("of the seeds of a run", () => {
  test.each([
    "BLENDING",
    "SHADOWING",
    "PROBATIONARY",
    "FOSSILIZED",
  ] as const)("one in %s becomes part of the host", (stage) => {
    const { seeds, parameters, tensors } = inherited([seed("s", stage)]);
    expect(seeds).toMatchObject([{ id: "inherited-1", stage: "FOSSILIZED", blueprintId: "low-rank" }]);
    expect(Object.keys(parameters)).toEqual(["host/stem/down/w", "host/grown/inherited-1/down/w"]);
    const before = tensors[`${stage === "FOSSILIZED" ? "host/grown" : "seed"}/s/down/w`];
    expect(parameters["host/grown/inherited-1/down/w"]).toBe(before);
  });

  test.each([
    ["TRAINING", {}],
    ["GERMINATED", {}],
    ["PROBATIONARY", { pausedFrom: "PROBATIONARY" }],
    ["BLENDING", { rampStartStep: 1_000 }],
  ] as const)("one in %s that is not in the output is left behind: %j", (stage, more) => {
    const { seeds, parameters } = inherited([seed("s", stage, more)]);
    expect(seeds).toEqual([]);
    expect(Object.keys(parameters)).toEqual(["host/stem/down/w"]);
  });

  test("each keeps its alpha, in the middle of its ramp and after it, whatever its schedule", () => {
    for (const [steps, step] of [
      [10, 3],
      [10, 10],
      [1, 1],
      [0, 5],
    ] as const) {
      const blend = { ...DEFAULT_BLEND, alphaTarget: 0.8, schedule: { steps, curve: "linear" as const } };
      const [one] = inherited([seed("s", "BLENDING", { blend })], { step }).seeds;
      const alpha = steps > step ? (0.8 * step) / steps : 0.8;
      expect(one?.blend.alphaTarget).toBeCloseTo(alpha, 12);
      expect(0 - (one?.rampStartStep ?? 0)).toBeGreaterThanOrEqual(Math.max(1, steps));
    }
  });

  test("those of one slot keep their order", () => {
    const late = seed("a", "FOSSILIZED", { germinationOrder: 7 });
    const early = seed("b", "PROBATIONARY", { germinationOrder: 2 });
    const { seeds, parameters, tensors } = inherited([late, early]);
    expect(seeds.map(({ id, germinationOrder }) => [id, germinationOrder])).toEqual([
      ["inherited-1", 0],
      ["inherited-2", 1],
    ]);
    expect(parameters["host/grown/inherited-1/down/w"]).toBe(tensors["seed/b/down/w"]);
    expect(parameters["host/grown/inherited-2/down/w"]).toBe(tensors["host/grown/a/down/w"]);
  });
});

test("optimizer state moves with what it is of, where it is kept", () => {
  const seeds = [seed("s", "PROBATIONARY"), seed("gone", "TRAINING")];
  expect(inherited(seeds).optimizer).toBeUndefined();
  const { optimizer, tensors } = inherited(seeds, { keepOptimizer: true });
  expect(optimizer).toEqual({
    "optimizer/m/host/stem/down/w": tensors["optimizer/m/host/stem/down/w"],
    "optimizer/count/host/stem/down": tensors["optimizer/count/host/stem/down"],
    "optimizer/m/host/grown/inherited-1/down/w": tensors["optimizer/m/seed/s/down/w"],
    "optimizer/count/host/grown/inherited-1/down": tensors["optimizer/count/seed/s/down"],
  });
});
