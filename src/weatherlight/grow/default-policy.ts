/** The policy of a run that asks for none, and the blueprints that suit a host. */
import { type BlueprintRegistry, type Host, slotsOf } from "../../nn/index.js";
import { type Candidate, PlateauPolicy, type Policy } from "../../tamiyo/index.js";

/** So many blueprints are tried by default: each costs the run its traces. */
const CANDIDATES = 2;

/**
 * Blueprints that fit a slot of the host, those made for its kind of activation first.
 * @param own ids of those that did not come with Kasmina: all of them are tried, before any other
 */
export function fittingCandidates(
  host: Host,
  blueprints: BlueprintRegistry,
  slots?: readonly string[],
  own: readonly string[] = [],
): readonly Candidate[] {
  const shapes = slotsOf(host)
    .filter(({ id }) => slots?.includes(id) ?? true)
    .map(({ shape }) => shape);
  const fitting = blueprints.ids.filter((id) => shapes.some((shape) => blueprints.get(id).supports(shape)));
  const spatial = fitting.filter((id) => shapes[0]?.length === 3 && id.startsWith("conv"));
  const ownFitting = fitting.filter((id) => own.includes(id));
  return [...new Set([...ownFitting, ...spatial, ...fitting])]
    .slice(0, Math.max(CANDIDATES, ownFitting.length))
    .map((id) => ({ id, parameters: {} }));
}

/** Grows at plateaus, with what fits. */
export function defaultPolicy(host: Host, blueprints: BlueprintRegistry): Policy {
  return new PlateauPolicy({ blueprints: fittingCandidates(host, blueprints) });
}
