/** Blueprints as the control plane knows them: described, not computed. Shapes are those of the built-in ones. */
import {
  type BlueprintDescription,
  type BlueprintParameters,
  float32,
  resolveParameters,
  type Tensors,
} from "../contracts/index.js";

const mlpResidual: BlueprintDescription = {
  id: "mlp-residual",
  form: "delta",
  bounds: { hidden: { min: 1, max: 4096, default: 128, integer: true } },
  supports: (shape) => shape.length >= 1,
  parameters: (shape, { hidden = 0 }) => {
    const width = shape.at(-1) ?? 0;
    return {
      scale: { shape: [width] },
      shift: { shape: [width] },
      up: { shape: [hidden, width] },
      upBias: { shape: [hidden] },
      down: { shape: [width, hidden] },
      downBias: { shape: [width] },
    };
  },
};

const lowRank: BlueprintDescription = {
  id: "low-rank",
  form: "delta",
  bounds: { rank: { min: 1, max: 512, default: 8, integer: true } },
  supports: (shape) => shape.length >= 1,
  parameters: (shape, { rank = 0 }) => {
    const width = shape.at(-1) ?? 0;
    return { a: { shape: [rank, width] }, b: { shape: [width, rank] } };
  },
};

/** Fits activations of three axes alone. */
const convResidual: BlueprintDescription = {
  id: "conv-residual",
  form: "delta",
  bounds: {},
  supports: (shape) => shape.length === 3,
  parameters: (shape) => ({ kernel: { shape: [3, 3, shape.at(-1) ?? 0, shape.at(-1) ?? 0] } }),
};

const BLUEPRINTS = new Map([mlpResidual, lowRank, convResidual].map((one) => [one.id, one]));

export const describedBlueprints = {
  find: (id: string): BlueprintDescription | undefined => BLUEPRINTS.get(id),
  get(id: string): BlueprintDescription {
    const found = BLUEPRINTS.get(id);
    if (!found) throw new RangeError(`no blueprint ${id}`);
    return found;
  },
};

/** Weights of the right names and shapes, all 0.5. */
export function describedKernel(
  id: string,
  shape: readonly number[],
  values: BlueprintParameters = {},
): Tensors {
  const blueprint = describedBlueprints.get(id);
  const specs = Object.entries(blueprint.parameters(shape, resolveParameters(blueprint, values)));
  return Object.fromEntries(specs.map(([name, spec]) => [name, float32(spec.shape, 0.5)]));
}
