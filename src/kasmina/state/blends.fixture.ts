/** Any valid blend, for properties. */
import fc from "fast-check";
import type { BlendConfig, BlendMode } from "../../contracts/index.js";

export const BLEND_MODES: readonly BlendMode[] = ["CONVEX", "RESIDUAL", "CHANNEL", "CONFIDENCE"];

export const fraction = fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true }));
/** Any valid configuration for `channels` channels. */
export function blends(channels: number): fc.Arbitrary<BlendConfig> {
  const divisors = [1, 2, 3, 4, 6].filter((length) => channels % length === 0);
  return fc
    .record({
      mode: fc.constantFrom(...BLEND_MODES),
      alphaTarget: fraction,
      schedule: fc.record({
        steps: fc.nat(50),
        curve: fc.constantFrom("linear", "cosine", "sigmoid" as const),
      }),
      alphaVec: fc.constantFrom(...divisors).chain((n) => fc.array(fraction, { minLength: n, maxLength: n })),
      gateK: fc.double({ min: -8, max: 8, noNaN: true }),
      gateTau: fc.double({ min: -1, max: 1, noNaN: true }),
      bounds: fc.tuple(fraction, fraction).map((pair) => pair.sort((a, b) => a - b)),
      confidenceLogits: fc.array(fc.double({ min: -5, max: 5, noNaN: true }), { minLength: 2, maxLength: 5 }),
    })
    .map(({ bounds: [alphaLo = 0, alphaHi = 1], ...rest }) => ({ ...rest, alphaLo, alphaHi }));
}
