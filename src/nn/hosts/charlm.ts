/**
 * A character-level language model: a pre-norm transformer (Vaswani et al. 2017, arXiv:1706.03762; Xiong et al. 2020,
 * arXiv:2002.04745) with learned positions, which says at each position what comes next.
 */
import { nn } from "@jax-js/jax";
import { KasminaError } from "../../base/index.js";
import type { JaxArray } from "../../engine/index.js";
import { causalAttention } from "../attention.js";
import { type Block, defineBlock, defineHost, type Host } from "../host.js";
import { gelu, layerNorm, linear } from "../layers.js";
import {
  heNormal,
  lecunNormal,
  normal,
  ones,
  type ParameterSpecs,
  type Parameters,
  zeros,
} from "../parameters.js";

export interface CharLmOptions {
  /** [length]: tokens a row. */
  readonly inputShape: readonly number[];
  /** Size of the vocabulary. */
  readonly classes: number;
  /** Channels of the residual stream, a multiple of `heads`. Default 64. */
  readonly d?: number;
  /** Transformer blocks, a slot after each. Default 2. */
  readonly layers?: number;
  /** Attention heads a block. Default 4. */
  readonly heads?: number;
}

/** Hidden channels of a block's perceptron, in multiples of d. */
export const HIDDEN_FACTOR = 4;
const EMBEDDING_DEVIATION = 0.1;

/**
 * Tokens int32 [batch, length] → logits [batch, length, classes]; slots `block1` … of shape [length, d]. A position
 * sees itself and those before it.
 */
export function charlm({ inputShape, classes, d = 64, layers = 2, heads = 4 }: CharLmOptions): Host {
  const [length = 0] = inputShape;
  if (inputShape.length !== 1) {
    throw new KasminaError(
      "invalid_argument",
      `host charlm needs sequences of tokens, got inputs of shape [${inputShape}]`,
    );
  }
  if (!Number.isInteger(d / heads)) {
    throw new KasminaError("invalid_argument", `host charlm: d ${d} must be a multiple of heads ${heads}`);
  }
  const embedding = normal(EMBEDDING_DEVIATION);
  const embed = defineBlock({
    name: "embed",
    parameters: {
      tokens: { shape: [d, classes], init: embedding },
      positions: { shape: [length, d], init: embedding },
    },
    outputShape: [length, d],
    // A product, not a gather, whose gradient would add up in an order that nothing fixes.
    apply: ({ tokens, positions }, x) => linear(nn.oneHot(x, classes), tokens).add(positions),
  });
  const head = defineBlock({
    name: "head",
    parameters: {
      scale: { shape: [d], init: ones },
      shift: { shape: [d], init: zeros },
      w: { shape: [classes, d], init: lecunNormal },
      b: { shape: [classes], init: zeros },
    },
    outputShape: [length, classes],
    apply: ({ scale, shift, w, b }, h) => linear(layerNorm(h, scale, shift), w, b),
  });
  const blocks = Array.from({ length: layers }, (_, i) =>
    transformerBlock(`block${i + 1}`, [length, d], heads),
  );
  return defineHost({
    id: "charlm",
    inputShape,
    inputDType: "int32",
    classes,
    blocks: [embed, ...blocks, head],
  });
}

/** g = h + attention(norm(h)), then g + W₂·gelu(W₁·norm(g)): [batch, length, d], same shape out. */
function transformerBlock(name: string, shape: readonly [number, number], heads: number): Block {
  const [, d] = shape;
  return defineBlock({
    name,
    parameters: transformerSpecs(d, HIDDEN_FACTOR * d),
    outputShape: shape,
    slot: true,
    apply: (parameters, h) => {
      const g = h.ref.add(attentionBranch(parameters, h, heads));
      return g.ref.add(feedForwardBranch(parameters, g));
    },
  });
}

/** Parameters of a transformer block over `d` channels; both last products start at zero. */
export function transformerSpecs(d: number, hidden: number) {
  return {
    attentionScale: { shape: [d], init: ones },
    attentionShift: { shape: [d], init: zeros },
    qkv: { shape: [3 * d, d], init: lecunNormal },
    out: { shape: [d, d], init: zeros },
    scale: { shape: [d], init: ones },
    shift: { shape: [d], init: zeros },
    up: { shape: [hidden, d], init: heNormal },
    upBias: { shape: [hidden], init: zeros },
    down: { shape: [d, hidden], init: zeros },
    downBias: { shape: [d], init: zeros },
  } satisfies ParameterSpecs;
}

type TransformerParameters = Parameters<keyof ReturnType<typeof transformerSpecs>>;

/** attention(norm(h)): what a transformer block adds to h first. Consumes h. */
export function attentionBranch(
  { attentionScale, attentionShift, qkv, out }: TransformerParameters,
  h: JaxArray,
  heads: number,
): JaxArray {
  const headSize = (h.shape.at(-1) ?? 0) / heads;
  return causalAttention(layerNorm(h, attentionScale, attentionShift), qkv, out, { heads, headSize });
}

/** W₂·gelu(W₁·norm(g)): what it adds then. Consumes g. */
export function feedForwardBranch(
  { scale, shift, up, upBias, down, downBias }: TransformerParameters,
  g: JaxArray,
): JaxArray {
  return linear(gelu(linear(layerNorm(g, scale, shift), up, upBias)), down, downBias);
}
