/** k(h) = W₂·gelu(W₁·norm(h)) over the last axis; W₂ starts at zero. */
import { defineBlueprint } from "../blueprint.js";
import { gelu, layerNorm, linear } from "../layers.js";
import { heNormal, ones, zeros } from "../parameters.js";

export const mlpResidual = defineBlueprint({
  id: "mlp-residual",
  form: "delta",
  bounds: { hidden: { min: 1, max: 4096, default: 128, integer: true } },
  supports: (shape) => shape.length >= 1,
  parameters: (shape, { hidden = 0 }) => {
    const width = shape.at(-1) ?? 0;
    return {
      scale: { shape: [width], init: ones },
      shift: { shape: [width], init: zeros },
      up: { shape: [hidden, width], init: heNormal },
      upBias: { shape: [hidden], init: zeros },
      down: { shape: [width, hidden], init: zeros },
      downBias: { shape: [width], init: zeros },
    };
  },
  apply: ({ scale, shift, up, upBias, down, downBias }, h) =>
    linear(gelu(linear(layerNorm(h, scale, shift), up, upBias)), down, downBias),
});
