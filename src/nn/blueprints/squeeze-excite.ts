/**
 * k(h) = h · (W₂·relu(W₁·mean(h)) + b₂): a gain a channel, which starts at zero. Hu et al. 2017,
 * arXiv:1709.01507, with an additive gate in place of the sigmoid, so that the module starts as k = 0.
 */
import { defineBlueprint } from "../blueprint.js";
import { globalAveragePool, linear, relu } from "../layers.js";
import { heNormal, zeros } from "../parameters.js";

export const squeezeExcite = defineBlueprint({
  id: "squeeze-excite",
  form: "delta",
  bounds: { hidden: { min: 1, max: 512, default: 8, integer: true } },
  supports: (shape) => shape.length === 3,
  parameters: (shape, { hidden = 0 }) => {
    const width = shape.at(-1) ?? 0;
    return {
      w1: { shape: [hidden, width], init: heNormal },
      b1: { shape: [hidden], init: zeros },
      w2: { shape: [width, hidden], init: zeros },
      b2: { shape: [width], init: zeros },
    };
  },
  apply: ({ w1, b1, w2, b2 }, h) => {
    const [batch = 0, , , width = 0] = h.shape;
    const gain = linear(relu(linear(globalAveragePool(h.ref), w1, b1)), w2, b2);
    return h.mul(gain.reshape([batch, 1, 1, width]));
  },
});
