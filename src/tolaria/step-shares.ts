/**
 * The share of a training step that each growing seed takes, counted in FLOPs of the traced programs: (step with the
 * seed − step without it) / step with it. The seed is counted as if it were kept, everything else as it stands: the
 * shadow pass of its training ends with its training.
 */
import type { Topology } from "../network/index.js";

/** FLOPs of the training step of a topology. */
export type StepFlops = (topology: Topology) => Promise<number>;

/** By seed id; seeds that are part of the host by now are not counted. */
export async function stepShares(topology: Topology, flopsOf: StepFlops): Promise<Record<string, number>> {
  const shares: Record<string, number> = {};
  for (const { seedId, part } of topology.sites) {
    if (part === "grown") continue;
    const withSeed = await flopsOf(keeping(topology, seedId));
    const without = await flopsOf(lacking(topology, seedId));
    shares[seedId] = (withSeed - without) / withSeed;
  }
  return shares;
}

function keeping(topology: Topology, seedId: string): Topology {
  const sites = topology.sites.map((site) =>
    site.seedId === seedId ? { ...site, part: "grown" as const } : site,
  );
  return { ...topology, sites };
}

function lacking(topology: Topology, seedId: string): Topology {
  return { ...topology, sites: topology.sites.filter((site) => site.seedId !== seedId) };
}
