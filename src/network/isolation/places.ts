/** Where parameters and seeds stand to one another: which parameters of the host are below a seed. */
import { placeOf } from "../../contracts/index.js";
import { isBlended, type SeedSite, sitesInOrder, type Topology } from "../topology.js";

/** Whether a seed must not disturb the host: everything before PROBATIONARY. */
export function isIsolated(site: SeedSite): boolean {
  return site.part !== "probationary" && site.part !== "grown";
}

/** The isolated seeds, in host order. */
export function isolatedSites(topology: Topology): SeedSite[] {
  return sitesInOrder(topology).filter(isIsolated);
}

/** Whether the seed is measured in parallel with the network instead of being part of it. */
export function isBeside(site: SeedSite): boolean {
  return !isBlended(site);
}

/**
 * Whether a host parameter comes before a seed on the way from input to logits: a parameter of a block up to the
 * seed's own slot, or of a grown seed that runs before it.
 */
export function isBelow(topology: Topology, site: SeedSite, parameter: string): boolean {
  const place = placeOf(parameter);
  if ("block" in place) return depthOf(topology, place.block) <= depthOf(topology, site.slotId);
  const order = sitesInOrder(topology);
  return order.findIndex(({ seedId }) => seedId === place.grownSeedId) < order.indexOf(site);
}

function depthOf(topology: Topology, block: string): number {
  return topology.host.blocks.findIndex(({ name }) => name === block);
}
