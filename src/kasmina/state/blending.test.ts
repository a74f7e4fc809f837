import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DEFAULT_BLEND } from "../../contracts/index.js";
import { alphaAt, blendTelemetry, blendWeights, logitMargin } from "./blending.js";
import { BLEND_MODES, blends, fraction } from "./blends.fixture.js";

describe("weights", () => {
  test("alpha starts at exactly 0, ends at exactly its target, and never falls", () => {
    fc.assert(
      fc.property(blends(6), (blend) => {
        const { steps } = blend.schedule;
        const ramp = Array.from({ length: steps + 3 }, (_, step) => alphaAt(blend, step));
        expect(alphaAt(blend, 0)).toBe(0);
        expect(ramp.slice(Math.max(1, steps))).toEqual(
          ramp.slice(Math.max(1, steps)).map(() => blend.alphaTarget),
        );
        expect(ramp.every((alpha, i) => alpha >= (ramp[i - 1] ?? 0))).toBe(true);
      }),
    );
  });

  test("are within 0 and 1, and leave the configuration as it was", () => {
    fc.assert(
      fc.property(blends(6), fraction, (blend, alpha) => {
        const before = structuredClone(blend);
        const { seedWeight, hostWeight } = blendWeights(blend, alpha, 6);
        expect([...seedWeight, ...hostWeight].every((weight) => weight >= 0 && weight <= 1)).toBe(true);
        expect(blend).toEqual(before);
      }),
    );
  });

  test("a vector covers the channels group by group", () => {
    const blend = { ...DEFAULT_BLEND, mode: "CHANNEL", alphaVec: [0, 0.5, 1] } as const;
    expect([...blendWeights(blend, 0.5, 6).seedWeight]).toEqual([0, 0, 0.25, 0.25, 0.5, 0.5]);
  });

  test("confidence holds alpha down at a low margin and lets it rise at a high one", () => {
    const at = (...confidenceLogits: number[]) =>
      blendWeights({ ...DEFAULT_BLEND, mode: "CONFIDENCE", confidenceLogits }, 1, 1).seedWeight[0] ??
      Number.NaN;
    expect(logitMargin([1, 3, 2])).toBe(1);
    expect(at(0, 0)).toBeLessThan(0.35);
    expect(at(0, 5)).toBeGreaterThan(0.99);
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 4, noNaN: true }),
        fc.double({ min: 0, max: 4, noNaN: true }),
        (a, b) => {
          expect(at(0, Math.min(a, b))).toBeLessThanOrEqual(at(0, Math.max(a, b)));
        },
      ),
    );
  });
});

describe("telemetry", () => {
  test("reports the very weights", () => {
    const blend = { ...DEFAULT_BLEND, mode: "CHANNEL", alphaVec: [0, 0.04, 0.06, 1] } as const;
    const reported = blendTelemetry(blend, blendWeights(blend, 1, 4));
    expect(reported).toMatchObject({ mode: "CHANNEL", source: "alpha_vec", alphaSparsity: 0.5, alphaP95: 1 });
    expect(reported.alphaMean).toBeCloseTo(0.275, 6);
    expect(reported).toMatchObject({ gateMean: 1, gateMin: 1, gateMax: 1, clampedFraction: 0 });
  });

  test.each(
    BLEND_MODES,
  )("at alpha 0 nothing of the seed is in the output, whatever the bounds say: %s", (mode) => {
    const blend = {
      ...DEFAULT_BLEND,
      mode,
      alphaVec: [1],
      confidenceLogits: [0, 9],
      alphaLo: 0.4,
      alphaHi: 0.9,
    };
    const { seedWeight, hostWeight } = blendWeights(blend, 0, 4);
    expect([...seedWeight]).toEqual([0, 0, 0, 0]);
    expect([...hostWeight]).toEqual([1, 1, 1, 1]);
    expect(Math.max(...blendWeights(blend, 0.3, 4).seedWeight)).toBeLessThanOrEqual(Math.fround(0.3));
  });

  test("reports the gate and a clamp", () => {
    const blend = { ...DEFAULT_BLEND, mode: "CONFIDENCE", confidenceLogits: [0, 9], alphaHi: 0.5 } as const;
    const reported = blendTelemetry(blend, blendWeights(blend, 1, 4));
    expect(reported).toMatchObject({ source: "confidence_logits", alphaMean: 0.5, clampedFraction: 1 });
    expect(reported.gateMean).toBeGreaterThan(0.99);
    expect([reported.gateMin, reported.gateMax]).toEqual([reported.gateMean, reported.gateMean]);
  });
});
