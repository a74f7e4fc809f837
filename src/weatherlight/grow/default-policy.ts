/** The policy of a run that asks for none, and the blueprints that suit a host. */
import { type BlueprintRegistry, type Host, slotsOf } from "../../nn/index.js";
import { type Candidate, PlateauPolicy, type Policy } from "../../tamiyo/index.js";

/** So many blueprints are tried by default: each costs the run its traces. */
const CANDIDATES = 2;

/**
 * Blueprints that fit a slot of the host, those made for its kind of activation first.
 * @param first ids of which all that fit are tried, before any other: those that did not come with Kasmina
 */
export function fittingCandidates(
  host: Host,
  blueprints: BlueprintRegistry,
  slots?: readonly string[],
  first: readonly string[] = [],
): readonly Candidate[] {
  const shapes = slotsOf(host)
    .filter(({ id }) => slots?.includes(id) ?? true)
    .map(({ shape }) => shape);
  const fitting = blueprints.ids.filter((id) => shapes.some((shape) => blueprints.get(id).supports(shape)));
  const spatial = fitting.filter((id) => shapes[0]?.length === 3 && id.startsWith("conv"));
  const asked = fitting.filter((id) => first.includes(id));
  return [...new Set([...asked, ...spatial, ...fitting])]
    .slice(0, Math.max(CANDIDATES, asked.length))
    .map((id) => ({ id, parameters: {} }));
}

/** Grows at plateaus, with what fits. */
export function defaultPolicy(host: Host, blueprints: BlueprintRegistry): Policy {
  return new PlateauPolicy({ blueprints: fittingCandidates(host, blueprints) });
}
