/** k(h) = conv(relu(conv(relu(h)))), 3×3; the second convolution starts at zero. */
import { defineBlueprint } from "../blueprint.js";
import { conv3x3, relu } from "../layers.js";
import { heNormal, zeros } from "../parameters.js";

export const convResidual = defineBlueprint({
  id: "conv-residual",
  form: "delta",
  bounds: { channels: { min: 1, max: 512, default: 16, integer: true } },
  supports: (shape) => shape.length === 3,
  parameters: (shape, { channels = 0 }) => {
    const width = shape.at(-1) ?? 0;
    return {
      w1: { shape: [channels, 9 * width], init: heNormal },
      b1: { shape: [channels], init: zeros },
      w2: { shape: [width, 9 * channels], init: zeros },
      b2: { shape: [width], init: zeros },
    };
  },
  apply: ({ w1, b1, w2, b2 }, h) => conv3x3(relu(conv3x3(relu(h), w1, b1)), w2, b2),
});
