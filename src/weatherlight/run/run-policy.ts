/** The policy that a configuration asks for. */
import { KasminaError } from "../../base/index.js";
import { builtinBlueprints, type Host, slotsOf } from "../../nn/index.js";
import {
  type Amount,
  type Budget,
  type Candidate,
  type GrowthPolicyOptions,
  PlateauPolicy,
  type Policy,
  RandomPolicy,
  SchedulePolicy,
} from "../../tamiyo/index.js";
import { fittingCandidates } from "../grow/default-policy.js";
import type { GrowthConfig } from "./growth-config.js";

/** @throws KasminaError `invalid_argument` for a slot that the host does not have, or a blueprint that fits none of its */
export function policyFor(config: GrowthConfig, host: Host): Policy {
  const known = slotsOf(host).map(({ id }) => id);
  const unknown = config.slots?.find((slot) => !known.includes(slot));
  if (unknown !== undefined) {
    throw new KasminaError(
      "invalid_argument",
      `slots: host ${host.id} has no slot ${unknown}; it has ${known.join(", ")}`,
    );
  }
  const options: GrowthPolicyOptions = {
    blueprints: candidatesFor(config, host),
    budget: budgetOf(config),
    ...(config.slots && { slots: config.slots }),
  };
  if (config.policy === "schedule") return new SchedulePolicy(options);
  if (config.policy === "random") return new RandomPolicy({ ...options, seed: config.seed });
  const epoch = /^epoch:(\d+)$/.exec(config.policy)?.[1];
  return new PlateauPolicy({
    ...options,
    ...(epoch !== undefined && { germinateAtEpoch: Number(epoch) - 1 }),
  });
}

function budgetOf({ budgetParams, budgetFlops }: GrowthConfig): Budget {
  return {
    ...(budgetParams !== undefined && { parameters: budgetParams as Amount }),
    ...(budgetFlops !== undefined && { flops: budgetFlops as Amount }),
  };
}

function candidatesFor(config: GrowthConfig, host: Host): readonly Candidate[] {
  if (config.blueprint === "auto") return fittingCandidates(host, builtinBlueprints, config.slots);
  const blueprint = builtinBlueprints.get(config.blueprint);
  const shapes = slotsOf(host)
    .filter(({ id }) => config.slots?.includes(id) ?? true)
    .map(({ shape }) => shape);
  if (shapes.some((shape) => blueprint.supports(shape))) return [{ id: blueprint.id, parameters: {} }];
  throw new KasminaError(
    "invalid_argument",
    `blueprint ${blueprint.id} does not fit any slot of host ${host.id}, whose activations are of shape [${shapes[0]}]`,
  );
}
