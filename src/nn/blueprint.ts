/** A blueprint: a named family of seed modules with bounded parameters. Data and vetted code, never code from the network. */
import { KasminaError } from "../base/index.js";
import type { Tensors } from "../contracts/index.js";
import type { JaxArray } from "../engine/index.js";
import { countParameters, initParameters, type ParameterSpecs, type Parameters } from "./parameters.js";

/** The bounds of one blueprint parameter, both ends allowed. */
export interface ParameterBounds {
  readonly min: number;
  readonly max: number;
  readonly default: number;
  /** Whether only whole numbers are allowed. */
  readonly integer: boolean;
}

export type BlueprintParameters = Readonly<Record<string, number>>;

export interface Blueprint<P extends string = string> {
  readonly id: string;
  /**
   * What k(h) means: `delta` (zero at initialisation; the seed's output is h + k) or `replacement` (the seed's
   * output is k).
   */
  readonly form: "delta" | "replacement";
  readonly bounds: Readonly<Record<string, ParameterBounds>>;
  /** Whether the module fits an activation of this shape (without the batch axis). */
  supports(shape: readonly number[]): boolean;
  /** Its parameters at a slot of `shape`. */
  parameters(shape: readonly number[], values: BlueprintParameters): ParameterSpecs<P>;
  /** k(h): pure, consumes h [batch, ...shape], gives the same shape. */
  apply(parameters: Parameters<P>, h: JaxArray, values: BlueprintParameters): JaxArray;
}

/** Lets TypeScript infer a blueprint's parameter names, so that `apply` sees them typed. */
export function defineBlueprint<P extends string>(blueprint: Blueprint<P>): Blueprint {
  return blueprint as unknown as Blueprint;
}

/** Why given values do not fit a blueprint's bounds; undefined where they do. NaN and infinities never fit. */
export function parameterProblem(blueprint: Blueprint, values: BlueprintParameters): string | undefined {
  for (const [name, value] of Object.entries(values)) {
    const bounds = Object.hasOwn(blueprint.bounds, name) ? blueprint.bounds[name] : undefined;
    if (!bounds) return `${blueprint.id} has no parameter ${name}`;
    const inside = Number.isFinite(value) && value >= bounds.min && value <= bounds.max;
    if (!inside || (bounds.integer && !Number.isInteger(value))) {
      return `${blueprint.id} ${name} must be ${bounds.integer ? "a whole number " : ""}in ${bounds.min}..${bounds.max}, got ${value}`;
    }
  }
  return undefined;
}

/**
 * The given values with defaults for what is left out.
 * @throws KasminaError `invalid_argument` where a value does not fit its bounds
 */
export function resolveParameters(
  blueprint: Blueprint,
  values: BlueprintParameters = {},
): BlueprintParameters {
  const problem = parameterProblem(blueprint, values);
  if (problem) throw new KasminaError("invalid_argument", problem);
  const defaults = Object.entries(blueprint.bounds).map(([name, bounds]) => [name, bounds.default]);
  return { ...Object.fromEntries(defaults), ...values };
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

/** Number of scalars in a kernel's weights. */
export function countKernelParameters(
  blueprint: Blueprint,
  shape: readonly number[],
  values: BlueprintParameters,
): number {
  return countParameters(blueprint.parameters(shape, values));
}
