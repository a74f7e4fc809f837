/** The policy that a configuration asks for. */
import { KasminaError } from "../../base/index.js";
import { type Host, hostBlock, slotsOf } from "../../nn/index.js";
import {
  type Budget,
  type Candidate,
  type GrowthPolicyOptions,
  PlateauPolicy,
  type Policy,
  RandomPolicy,
  RemotePolicy,
  SchedulePolicy,
} from "../../tamiyo/index.js";
import { fittingCandidates } from "../grow/default-policy.js";
import type { GrowConfig } from "./grow-config.js";
import type { Sources } from "./sources.js";

/** @throws KasminaError `invalid_argument` for a slot that the host does not have, or a blueprint that fits none of its */
export function policyFor(config: GrowConfig, sources: Sources): Policy {
  const { host } = sources;
  const known = slotsOf(host).map(({ id }) => id);
  const unknown = config.slots?.find((slot) => !known.includes(slot));
  if (unknown !== undefined) {
    throw new KasminaError(
      "invalid_argument",
      `slots: host ${host.id} has no slot ${unknown}; it has ${known.join(", ")}`,
    );
  }
  if (typeof config.policy !== "string") return config.policy;
  const options: GrowthPolicyOptions = {
    blueprints: candidatesFor(config, sources),
    budget: budgetOf(config),
    ...(config.slots && { slots: config.slots }),
  };
  if (config.policy === "remote") return new RemotePolicy(options);
  if (config.policy === "schedule") return new SchedulePolicy(options);
  if (config.policy === "random") return new RandomPolicy({ ...options, seed: config.seed });
  const epoch = /^epoch:(\d+)$/.exec(config.policy)?.[1];
  return new PlateauPolicy({
    ...options,
    // A network that is trained already has reached its plateau.
    ...(config.from !== undefined && { germinateAtEpoch: 0 }),
    ...(epoch !== undefined && { germinateAtEpoch: Number(epoch) - 1 }),
  });
}

function budgetOf({ budgetParams, budgetFlops }: GrowConfig): Budget {
  return {
    ...(budgetParams !== undefined && { parameters: budgetParams }),
    ...(budgetFlops !== undefined && { flops: budgetFlops }),
  };
}

/** What paid where a trained network was extended: a whole block of its own kind (docs/growth.md). */
function largeBlocks({ from }: GrowConfig, { origin }: Host): readonly string[] {
  return from === undefined || origin ? [] : [hostBlock.id];
}

function candidatesFor(config: GrowConfig, sources: Sources): readonly Candidate[] {
  const { host, blueprints, ownBlueprints, askedBlueprint } = sources;
  if (askedBlueprint === "auto")
    return fittingCandidates(host, blueprints, config.slots, [
      ...ownBlueprints,
      ...largeBlocks(config, host),
    ]);
  const blueprint = blueprints.find(askedBlueprint);
  if (!blueprint)
    throw new KasminaError(
      "invalid_argument",
      `blueprint must be one of ${["auto", ...blueprints.ids].join(", ")}, got "${askedBlueprint}"`,
    );
  const shapes = slotsOf(host)
    .filter(({ id }) => config.slots?.includes(id) ?? true)
    .map(({ shape }) => shape);
  if (shapes.some((shape) => blueprint.supports(shape))) return [{ id: blueprint.id, parameters: {} }];
  throw new KasminaError(
    "invalid_argument",
    `blueprint ${blueprint.id} does not fit any slot of host ${host.id}, whose activations are of shape [${shapes[0]}]`,
  );
}
