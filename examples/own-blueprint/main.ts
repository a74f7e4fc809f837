/** Grows with a blueprint of one's own: k(h) = W₂·σ(W₁·h), which starts as k = 0. */
import { builtins, defineBlueprint, grow } from "kasmina";
import { heNormal, linear, sigmoid, zeros } from "kasmina/nn";

const bottleneck = defineBlueprint({
  id: "bottleneck",
  form: "delta", // the seed's output is h + k(h)
  bounds: { hidden: { min: 1, max: 64, default: 16, integer: true } },
  supports: (shape) => shape.length === 1,
  parameters: ([width = 0], { hidden = 0 }) => ({
    up: { shape: [hidden, width], init: heNormal },
    upBias: { shape: [hidden], init: zeros },
    down: { shape: [width, hidden], init: zeros },
    downBias: { shape: [width], init: zeros },
  }),
  apply: ({ up, upBias, down, downBias }, h) => linear(sigmoid(linear(h, up, upBias)), down, downBias),
});

export const run = await grow({ data: "spirals", blueprints: [...builtins, bottleneck] });
console.log(run.seeds.map(({ blueprint, stage }) => `${blueprint} ${stage}`));
