/** A residual multi-layer perceptron: stem, pre-norm residual blocks, head (after Touvron et al. 2021, arXiv:2105.03404, without the patch mixing). */
import { sizeOf } from "../../contracts/index.js";
import type { JaxArray } from "../../engine/index.js";
import { type Block, defineBlock, defineHost, type Host } from "../host.js";
import { layerNorm, linear, relu } from "../layers.js";
import { heNormal, lecunNormal, ones, type ParameterSpecs, type Parameters, zeros } from "../parameters.js";

export interface ResMlpOptions {
  readonly inputShape: readonly number[];
  readonly classes: number;
  /** Channels of the residual stream. Default 16. */
  readonly width?: number;
  /** Residual blocks, a slot after each. Default 2. */
  readonly depth?: number;
  /** Whether the last layer reads its input normalised. Default true. */
  readonly headNorm?: boolean;
}

/** Input [batch, ...inputShape] → logits [batch, classes]; slots `block1` … of shape [width]. */
export function resmlp({ inputShape, classes, width = 16, depth = 2, headNorm = true }: ResMlpOptions): Host {
  const inputs = sizeOf(inputShape);
  const stem = defineBlock({
    name: "stem",
    parameters: { w: { shape: [width, inputs], init: heNormal }, b: { shape: [width], init: zeros } },
    outputShape: [width],
    apply: ({ w, b }, x) => relu(linear(x.reshape([-1, inputs]), w, b)),
  });
  const last = {
    w: { shape: [classes, width], init: lecunNormal },
    b: { shape: [classes], init: zeros },
  } satisfies ParameterSpecs;
  const head = headNorm
    ? defineBlock({
        name: "head",
        parameters: {
          scale: { shape: [width], init: ones },
          shift: { shape: [width], init: zeros },
          ...last,
        },
        outputShape: [classes],
        apply: ({ scale, shift, w, b }, x) => linear(layerNorm(x, scale, shift), w, b),
      })
    : defineBlock({
        name: "head",
        parameters: last,
        outputShape: [classes],
        apply: ({ w, b }, x) => linear(x, w, b),
      });
  const blocks = Array.from({ length: depth }, (_, i) => residualBlock(`block${i + 1}`, width));
  return defineHost({ id: "resmlp", inputShape, classes, blocks: [stem, ...blocks, head] });
}

/** h + W₂·relu(W₁·norm(h)): h [batch, width] → [batch, width]. */
function residualBlock(name: string, width: number): Block {
  return defineBlock({
    name,
    parameters: perceptronSpecs(width, width),
    outputShape: [width],
    slot: true,
    apply: (parameters, h) => h.ref.add(perceptronBranch(parameters, h)),
  });
}

/** Parameters of {@link perceptronBranch} over `width` channels; the last product starts at zero. */
export function perceptronSpecs(width: number, hidden: number) {
  return {
    scale: { shape: [width], init: ones },
    shift: { shape: [width], init: zeros },
    up: { shape: [hidden, width], init: heNormal },
    upBias: { shape: [hidden], init: zeros },
    down: { shape: [width, hidden], init: zeros },
    downBias: { shape: [width], init: zeros },
  } satisfies ParameterSpecs;
}

/** W₂·relu(W₁·norm(h)): what a residual block adds to h. */
export function perceptronBranch(
  { scale, shift, up, upBias, down, downBias }: Parameters<keyof ReturnType<typeof perceptronSpecs>>,
  h: JaxArray,
): JaxArray {
  return linear(relu(linear(layerNorm(h, scale, shift), up, upBias)), down, downBias);
}
