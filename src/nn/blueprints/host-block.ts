/**
 * A whole block of the built-in hosts' own kind as one seed: k(h) = block(h) − h, with fresh weights and a last product of
 * zero, so that k = 0 at the start. Which kind follows from the activation: a perceptron block for channels, a transformer
 * block for a sequence, a convolutional block for an image.
 */
import { KasminaError } from "../../base/index.js";
import type { JaxArray } from "../../engine/index.js";
import { defineBlueprint } from "../blueprint.js";
import { attentionBranch, feedForwardBranch, HIDDEN_FACTOR, transformerSpecs } from "../hosts/charlm.js";
import { convolutionBranch, convolutionSpecs } from "../hosts/resconv.js";
import { perceptronBranch, perceptronSpecs } from "../hosts/resmlp.js";
import type { ParameterSpecs, Parameters } from "../parameters.js";

interface BlockSize {
  /** Channels of the activation. */
  readonly width: number;
  /** Channels inside the block; 0: as many as the built-in host has. */
  readonly hidden: number;
  readonly heads: number;
}

interface BlockKind {
  specs(size: BlockSize): ParameterSpecs;
  /** block(h) − h. Consumes h. */
  branch(parameters: Parameters, h: JaxArray, size: BlockSize): JaxArray;
}

const perceptron: BlockKind = {
  specs: ({ width, hidden }) => perceptronSpecs(width, hidden || width),
  branch: (parameters, h) =>
    perceptronBranch(parameters as Parameters<keyof ReturnType<typeof perceptronSpecs>>, h),
};

const transformer: BlockKind = {
  specs: ({ width, hidden }) => transformerSpecs(width, hidden || HIDDEN_FACTOR * width),
  branch: (parameters, h, { heads, width }) => {
    const own = parameters as Parameters<keyof ReturnType<typeof transformerSpecs>>;
    const attention = attentionBranch(own, h.ref, headsFor(width, heads));
    return attention.ref.add(feedForwardBranch(own, h.add(attention)));
  },
};

const convolution: BlockKind = {
  specs: ({ width, hidden }) => convolutionSpecs(width, hidden || width),
  branch: (parameters, h) =>
    convolutionBranch(parameters as Parameters<keyof ReturnType<typeof convolutionSpecs>>, h),
};

/** By the axes of the activation, the batch not counted: [channels], [length, channels], [height, width, channels]. */
const KINDS: readonly BlockKind[] = [perceptron, transformer, convolution];

export const hostBlock = defineBlueprint({
  id: "host-block",
  form: "delta",
  bounds: {
    hidden: { min: 0, max: 16_384, default: 0, integer: true },
    heads: { min: 1, max: 64, default: 4, integer: true },
  },
  supports: (shape) => shape.length >= 1 && shape.length <= KINDS.length,
  parameters: (shape, values) => kindOf(shape).specs(sizeOf(shape, values)),
  apply: (parameters, h, values) => {
    const shape = h.shape.slice(1);
    return kindOf(shape).branch(parameters, h, sizeOf(shape, values));
  },
});

function kindOf(shape: readonly number[]): BlockKind {
  const kind = KINDS[shape.length - 1];
  if (!kind)
    throw new KasminaError("invalid_argument", `host-block has no block for activations of shape [${shape}]`);
  return kind;
}

function sizeOf(
  shape: readonly number[],
  { hidden = 0, heads = 4 }: Readonly<Record<string, number>>,
): BlockSize {
  return { width: shape.at(-1) ?? 0, hidden, heads };
}

/** The largest number of heads up to `heads` that divides the channels. */
function headsFor(width: number, heads: number): number {
  let fitting = Math.min(heads, width);
  while (width % fitting !== 0) fitting--;
  return fitting;
}
