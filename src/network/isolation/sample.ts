/**
 * The fixed sample of host parameters through which gradients are compared: the same coordinates for the
 * same topology, never more than a limit, so that the monitor costs the same memory for every host.
 */
import { Random } from "../../base/index.js";
import { isHostState, sizeOf } from "../../contracts/index.js";
import { isBelow, isolatedSites, parameterSpecs, type Topology } from "../topology.js";

/** Coordinates of one parameter: indices into its values, row-major, ascending. */
export interface SampledParameter {
  readonly path: string;
  readonly indices: Int32Array;
}

export type CoordinateSample = readonly SampledParameter[];

/** Changing it changes which coordinates are looked at. */
const SEED = 4096;

/**
 * At most `limit` coordinates of the host's parameters below any isolated seed. Every parameter gets an equal share;
 * what a small one leaves over goes to the larger ones. Within a parameter they are spread evenly, each at a random
 * place of its stretch, so that no row or column is favoured.
 */
export function sampleCoordinates(topology: Topology, limit: number): CoordinateSample {
  const isolated = isolatedSites(topology);
  const below = Object.entries(parameterSpecs(topology))
    .filter(([path]) => isHostState(path) && isolated.some((site) => isBelow(topology, site, path)))
    .map(([path, { shape }]) => ({ path, size: sizeOf(shape) }));
  const bySize = [...below].sort((a, b) => a.size - b.size);
  const counts = new Map<string, number>();
  let left = limit;
  for (const [i, { path, size }] of bySize.entries()) {
    const count = Math.min(size, Math.floor(left / (bySize.length - i)));
    counts.set(path, count);
    left -= count;
  }
  return below
    .map(({ path, size }) => ({ path, indices: spread(path, size, counts.get(path) ?? 0) }))
    .filter(({ indices }) => indices.length > 0);
}

function spread(path: string, size: number, count: number): Int32Array {
  const random = Random.forLabel(SEED, path);
  return Int32Array.from({ length: count }, (_, i) => {
    const start = Math.floor((i * size) / count);
    const end = Math.floor(((i + 1) * size) / count);
    return start + random.below(end - start);
  });
}

/** Number of coordinates in a sample. */
export function countCoordinates(sample: CoordinateSample): number {
  return sample.reduce((sum, { indices }) => sum + indices.length, 0);
}
