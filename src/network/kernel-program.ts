/** A kernel on its own, for counting what its forward pass costs. */
import { KasminaError } from "../base/index.js";
import type { BlueprintParameters } from "../contracts/index.js";
import type { ProgramDefinition } from "../engine/index.js";
import type { Blueprint } from "../nn/index.js";
import { lookupIn } from "./gradients.js";

/**
 * The forward pass of one kernel: state {its weights by name}, batch {h [batch, ...shape]} → the sum of k(h).
 */
export function kernelProgram(
  blueprint: Blueprint,
  shape: readonly number[],
  parameters: BlueprintParameters,
  batch: number,
): ProgramDefinition {
  const specs = Object.entries(blueprint.parameters(shape, parameters));
  return {
    name: `prewarm of ${blueprint.id}`,
    state: Object.fromEntries(specs.map(([name, spec]) => [name, { shape: spec.shape, dtype: "float32" }])),
    batch: { h: { shape: [batch, ...shape], dtype: "float32" } },
    controls: {},
    run(state, arrays) {
      const weightOf = lookupIn(state);
      const weights = Object.fromEntries(specs.map(([name]) => [name, weightOf(name)]));
      const k = blueprint.apply(weights, lookupIn(arrays)("h"), parameters);
      const expected = [batch, ...shape].join(", ");
      if (k.shape.join(", ") !== expected)
        throw new KasminaError(
          "invalid_data",
          `blueprint ${blueprint.id} maps [${expected}] to [${k.shape.join(", ")}]`,
        );
      return { state: {}, outputs: { sum: k.sum() } };
    },
  };
}
