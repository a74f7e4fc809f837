/** A small residual convolutional net, pre-activation as in He et al. 2016, arXiv:1603.05027, without batch statistics. */
import { KasminaError } from "../../base/index.js";
import type { JaxArray } from "../../engine/index.js";
import { type Block, defineBlock, defineHost, type Host } from "../host.js";
import { conv3x3, globalAveragePool, linear, maxPool2x2, relu } from "../layers.js";
import { heNormal, lecunNormal, type ParameterSpecs, type Parameters, zeros } from "../parameters.js";

export interface ResConvOptions {
  /** [height, width] or [height, width, channels]; height and width divisible by 4. */
  readonly inputShape: readonly number[];
  readonly classes: number;
  /** Channels of the residual stream. Default 8. */
  readonly channels?: number;
  /** Residual blocks, a slot after each. Default 2. */
  readonly depth?: number;
}

/** Images [batch, height, width, channels] → logits [batch, classes]; slots `block1` … of shape [height/4, width/4, channels]. */
export function resconv({ inputShape, classes, channels = 8, depth = 2 }: ResConvOptions): Host {
  const [height = 0, width = 0, inputChannels = 1] = inputShape;
  if (inputShape.length < 2 || inputShape.length > 3 || height % 4 !== 0 || width % 4 !== 0) {
    throw new KasminaError(
      "invalid_argument",
      `host resconv needs images of a height and width divisible by 4, got inputs of shape [${inputShape}]`,
    );
  }
  const size = [height / 4, width / 4, channels] as const;
  const stem = defineBlock({
    name: "stem",
    parameters: {
      w1: { shape: [channels, 9 * inputChannels], init: heNormal },
      b1: { shape: [channels], init: zeros },
      w2: { shape: [channels, 9 * channels], init: heNormal },
      b2: { shape: [channels], init: zeros },
    },
    outputShape: size,
    apply: ({ w1, b1, w2, b2 }, x) => {
      const image = x.reshape([-1, height, width, inputChannels]);
      // Rectified after pooling: the same values, from a quarter of the elements.
      const half = relu(maxPool2x2(conv3x3(image, w1, b1)));
      return relu(maxPool2x2(conv3x3(half, w2, b2)));
    },
  });
  const head = defineBlock({
    name: "head",
    parameters: {
      w: { shape: [classes, channels], init: lecunNormal },
      b: { shape: [classes], init: zeros },
    },
    outputShape: [classes],
    apply: ({ w, b }, x) => linear(globalAveragePool(relu(x)), w, b),
  });
  const blocks = Array.from({ length: depth }, (_, i) => residualBlock(`block${i + 1}`, size));
  return defineHost({ id: "resconv", inputShape, classes, blocks: [stem, ...blocks, head] });
}

/** h + conv(relu(conv(relu(h)))): [batch, height, width, channels], same shape out. */
function residualBlock(name: string, shape: readonly [number, number, number]): Block {
  const [, , channels] = shape;
  return defineBlock({
    name,
    parameters: convolutionSpecs(channels, channels),
    outputShape: shape,
    slot: true,
    apply: (parameters, h) => h.ref.add(convolutionBranch(parameters, h)),
  });
}

/** Parameters of {@link convolutionBranch} with `hidden` channels between; the second convolution starts at zero. */
export function convolutionSpecs(channels: number, hidden: number) {
  return {
    w1: { shape: [hidden, 9 * channels], init: heNormal },
    b1: { shape: [hidden], init: zeros },
    w2: { shape: [channels, 9 * hidden], init: zeros },
    b2: { shape: [channels], init: zeros },
  } satisfies ParameterSpecs;
}

/** conv(relu(conv(relu(h)))), 3×3: what a residual block adds to h. */
export function convolutionBranch(
  { w1, b1, w2, b2 }: Parameters<keyof ReturnType<typeof convolutionSpecs>>,
  h: JaxArray,
): JaxArray {
  return conv3x3(relu(conv3x3(relu(h), w1, b1)), w2, b2);
}
