/** A blueprint: a named family of seed modules with bounded parameters. Data and vetted code, never code from the network. */
import type { BlueprintDescription, BlueprintParameters, Tensors } from "../contracts/index.js";
import type { JaxArray } from "../engine/index.js";
import { initParameters, type ParameterSpecs, type Parameters } from "./parameters.js";

/**
 * A named family of seed modules: which slots it fits, its bounded parameters, and how a kernel computes k(h).
 *
 * @example
 * ```ts
 * import type { Blueprint } from "kasmina";
 *
 * const fits = (blueprint: Blueprint, shape: readonly number[]) => blueprint.supports(shape);
 * ```
 */
export interface Blueprint<P extends string = string> extends BlueprintDescription {
  /** Its parameters at a slot of `shape`. */
  parameters(shape: readonly number[], values: BlueprintParameters): ParameterSpecs<P>;
  /** k(h): pure, consumes h [batch, ...shape], gives the same shape. */
  apply(parameters: Parameters<P>, h: JaxArray, values: BlueprintParameters): JaxArray;
}

/**
 * Lets TypeScript infer a blueprint's parameter names, so that `apply` sees them typed.
 *
 * @example
 * ```ts
 * import { defineBlueprint } from "kasmina";
 * import { zeros } from "kasmina/nn";
 *
 * const scale = defineBlueprint({
 *   id: "scale",
 *   form: "delta",
 *   bounds: {},
 *   supports: (shape) => shape.length === 1,
 *   parameters: ([channels = 1]) => ({ gain: { shape: [channels], init: zeros } }),
 *   apply: ({ gain }, h) => h.mul(gain),
 * });
 * ```
 */
export function defineBlueprint<P extends string>(blueprint: Blueprint<P>): Blueprint {
  return blueprint as unknown as Blueprint;
}

/** Initial weights of one kernel, by name. A `delta` kernel starts as k = 0. */
export function initKernel(
  blueprint: Blueprint,
  shape: readonly number[],
  values: BlueprintParameters,
  seed: number,
): Tensors {
  return initParameters(blueprint.parameters(shape, values), "", seed);
}
