/**
 * What is known of a blueprint without computing anything: its id, its form, its bounds, and the shapes of its weights.
 * The control plane decides by this alone; how a kernel computes stands in `nn/`.
 */
import { KasminaError } from "../base/errors.js";
import { sizeOf } from "./tensor.js";

/** The bounds of one blueprint parameter, both ends allowed. */
export interface ParameterBounds {
  readonly min: number;
  readonly max: number;
  readonly default: number;
  /** Whether only whole numbers are allowed. */
  readonly integer: boolean;
}

export type BlueprintParameters = Readonly<Record<string, number>>;

export interface BlueprintDescription {
  readonly id: string;
  /**
   * What k(h) means: `delta` (zero at initialisation; the seed's output is h + k) or `replacement` (the seed's
   * output is k).
   */
  readonly form: "delta" | "replacement";
  readonly bounds: Readonly<Record<string, ParameterBounds>>;
  /** Whether the module fits an activation of this shape (without the batch axis). */
  supports(shape: readonly number[]): boolean;
  /** Shapes of its weights at a slot of `shape`, by name. */
  parameters(
    shape: readonly number[],
    values: BlueprintParameters,
  ): Readonly<Record<string, { readonly shape: readonly number[] }>>;
}

/** The blueprints that a run may germinate. */
export interface BlueprintCatalog {
  find(id: string): BlueprintDescription | undefined;
}

/** Why given values do not fit a blueprint's bounds; undefined where they do. NaN and infinities never fit. */
export function parameterProblem(
  blueprint: Pick<BlueprintDescription, "id" | "bounds">,
  values: BlueprintParameters,
): string | undefined {
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
  blueprint: Pick<BlueprintDescription, "id" | "bounds">,
  values: BlueprintParameters = {},
): BlueprintParameters {
  const problem = parameterProblem(blueprint, values);
  if (problem) throw new KasminaError("invalid_argument", problem);
  const defaults = Object.entries(blueprint.bounds).map(([name, bounds]) => [name, bounds.default]);
  return { ...Object.fromEntries(defaults), ...values };
}

/** Number of scalars in a kernel's weights. */
export function countKernelParameters(
  blueprint: Pick<BlueprintDescription, "parameters">,
  shape: readonly number[],
  values: BlueprintParameters,
): number {
  return Object.values(blueprint.parameters(shape, values)).reduce(
    (sum, spec) => sum + sizeOf(spec.shape),
    0,
  );
}
