/** k(h) = B·A·h over the last axis, of rank r; B starts at zero (Hu et al. 2021, arXiv:2106.09685). */
import { defineBlueprint } from "../blueprint.js";
import { linear } from "../layers.js";
import { lecunNormal, zeros } from "../parameters.js";

export const lowRank = defineBlueprint({
  id: "low-rank",
  form: "delta",
  bounds: { rank: { min: 1, max: 512, default: 8, integer: true } },
  supports: (shape) => shape.length >= 1,
  parameters: (shape, { rank = 0 }) => {
    const width = shape.at(-1) ?? 0;
    return { a: { shape: [rank, width], init: lecunNormal }, b: { shape: [width, rank], init: zeros } };
  },
  apply: ({ a, b }, h) => linear(linear(h, a), b),
});
