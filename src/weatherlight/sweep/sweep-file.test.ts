import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseSweep } from "./sweep-file.js";

const KNOWN = new Set(["data", "lr", "batch", "policy", "no-growth", "seed", "run-dir"]);
const parse = (file: unknown) => parseSweep(JSON.stringify(file), "s.json", KNOWN);

describe("the file of a sweep", () => {
  test("names every combination of the grid, with every seed", () => {
    const { variants, runs } = parse({
      options: { data: "spirals", "no-growth": true },
      grid: { lr: [0.001, 0.01], policy: ["plateau", "random"] },
      seeds: [3, 5],
    });
    expect(variants).toEqual([
      { lr: 0.001, policy: "plateau" },
      { lr: 0.001, policy: "random" },
      { lr: 0.01, policy: "plateau" },
      { lr: 0.01, policy: "random" },
    ]);
    expect(runs.map(({ id }) => id).slice(0, 3)).toEqual(["v000-s3", "v000-s5", "v001-s3"]);
    expect(runs[7]?.args.join(" ")).toBe("--data spirals --no-growth --lr 0.01 --policy random --seed 5");
  });

  test("with nothing in it is one run as kasmina grow does it", () => {
    expect(parse({})).toEqual({
      variants: [{}],
      runs: [{ id: "v000-s0", variant: 0, seed: 0, args: ["--seed", "0"] }],
    });
  });

  test("draws within bounds, the same each time, and the first ones whatever comes after", () => {
    const options = {
      lr: { log_uniform: [1e-4, 1e-1] },
      batch: { integer: [8, 64] },
      policy: { choice: ["plateau", "random"] },
    };
    fc.assert(
      fc.property(fc.nat(1_000), fc.integer({ min: 2, max: 40 }), (seed, samples) => {
        const { variants } = parse({ random: { samples, seed, options } });
        expect(variants).toHaveLength(samples);
        for (const { lr, batch, policy } of variants) {
          expect(Number(lr) >= 1e-4 && Number(lr) <= 1e-1).toBe(true);
          expect(Number.isInteger(batch) && Number(batch) >= 8 && Number(batch) <= 64).toBe(true);
          expect(["plateau", "random"]).toContain(policy);
        }
        const fewer = parse({ random: { samples: samples - 1, seed, options } }).variants;
        expect(variants.slice(0, -1)).toEqual(fewer);
      }),
    );
  });

  test.each([
    [{ grid: { lrr: [1] } }, /s\.json names lrr, which is no option/],
    [{ grid: { lr: [] } }, /grid\.lr/],
    [{ grid: { lr: [1] }, options: { lr: 2 } }, /names lr twice/],
    [{ options: { seed: 1 } }, /must not name seed/],
    [{ options: { "run-dir": "x" } }, /must not name run-dir/],
    [{ options: { "--lr": 1 } }, /names --lr, which is no option/],
    [{ seeds: [1, 1] }, /names a seed twice/],
    [{ seeds: [-1] }, /seeds\.0/],
    [{ seeds: [] }, /seeds/],
    [{ random: { samples: 2, options: { lr: { log_uniform: [0, 1] } } } }, /random\.options\.lr/],
    [{ random: { samples: 2, options: { lr: { uniform: [2, 1] } } } }, /random\.options\.lr/],
    [{ random: { samples: 10_000, options: {} }, seeds: [0, 1] }, /asks for 20000 runs, 10000 are allowed/],
    [{ options: { lr: null } }, /options\.lr/],
    [{ greed: {} }, /greed/],
    [[], /no sweep/],
  ])("%j is refused in one line", (file, message) => {
    expect(() => parse(file)).toThrow(message);
    expect(() => parse(file)).toThrow(/^[^\n]+$/);
  });

  test("that is not JSON is refused", () => {
    expect(() => parseSweep("{", "s.json", KNOWN)).toThrow("s.json is not JSON");
  });
});
