/** The policy that a configuration asks for. */
import { KasminaError } from "../base/index.js";
import { builtinBlueprints, type Host, slotsOf } from "../nn/index.js";
import { PlateauPolicy, type Policy } from "../tamiyo/index.js";
import { defaultPolicy } from "./grow.js";
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
  const epoch = /^epoch:(\d+)$/.exec(config.policy)?.[1];
  if (config.blueprint === "auto" && config.slots === undefined && epoch === undefined)
    return defaultPolicy(host, builtinBlueprints);
  return new PlateauPolicy({
    blueprints: [{ id: blueprintFor(config, host), parameters: {} }],
    ...(config.slots && { slots: config.slots }),
    ...(epoch !== undefined && { germinateAtEpoch: Number(epoch) - 1 }),
  });
}

function blueprintFor(config: GrowthConfig, host: Host): string {
  const shapes = slotsOf(host)
    .filter(({ id }) => config.slots?.includes(id) ?? true)
    .map(({ shape }) => shape);
  if (config.blueprint === "auto") return shapes[0]?.length === 3 ? "conv-residual" : "mlp-residual";
  const blueprint = builtinBlueprints.get(config.blueprint);
  if (shapes.some((shape) => blueprint.supports(shape))) return blueprint.id;
  throw new KasminaError(
    "invalid_argument",
    `blueprint ${blueprint.id} does not fit any slot of host ${host.id}, whose activations are of shape [${shapes[0]}]`,
  );
}
