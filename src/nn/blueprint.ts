/** A blueprint: a named family of seed modules with bounded parameters. Data and vetted code, never code from the network. */
import type { BlueprintDescription, BlueprintParameters, Tensors } from "../contracts/index.js";
import type { JaxArray } from "../engine/index.js";
import { initParameters, type ParameterSpecs, type Parameters } from "./parameters.js";

export interface Blueprint<P extends string = string> extends BlueprintDescription {
  /** Its parameters at a slot of `shape`. */
  parameters(shape: readonly number[], values: BlueprintParameters): ParameterSpecs<P>;
  /** k(h): pure, consumes h [batch, ...shape], gives the same shape. */
  apply(parameters: Parameters<P>, h: JaxArray, values: BlueprintParameters): JaxArray;
}

/** Lets TypeScript infer a blueprint's parameter names, so that `apply` sees them typed. */
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
