/** k(h) = Wₒ·attention(norm(h)): causal self-attention over a sequence; Wₒ starts at zero. */
import { causalAttention } from "../attention.js";
import { defineBlueprint } from "../blueprint.js";
import { layerNorm } from "../layers.js";
import { lecunNormal, ones, zeros } from "../parameters.js";

export const attentionResidual = defineBlueprint({
  id: "attention-residual",
  form: "delta",
  bounds: {
    heads: { min: 1, max: 16, default: 4, integer: true },
    headSize: { min: 1, max: 128, default: 16, integer: true },
  },
  supports: (shape) => shape.length === 2,
  parameters: (shape, { heads = 0, headSize = 0 }) => {
    const width = shape.at(-1) ?? 0;
    const inner = heads * headSize;
    return {
      scale: { shape: [width], init: ones },
      shift: { shape: [width], init: zeros },
      qkv: { shape: [3 * inner, width], init: lecunNormal },
      out: { shape: [width, inner], init: zeros },
    };
  },
  apply: ({ scale, shift, qkv, out }, h, { heads = 0, headSize = 0 }) =>
    causalAttention(layerNorm(h, scale, shift), qkv, out, { heads, headSize }),
});
