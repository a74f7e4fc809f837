/**
 * What a run begins with that goes on from the network of another: the parameters of its host, and the seeds in its output,
 * fossilized, so that the network computes what it did, to the last bit.
 */
import {
  grownModule,
  isInOutput,
  parameterOf,
  placeOf,
  seedModule,
  seedOf,
  type Tensors,
} from "../contracts/index.js";
import { alphaOf } from "../kasmina/changes/measurements.js";
import type { KasminaSnapshot } from "../kasmina/index.js";
import { NO_STATS, type Seed } from "../kasmina/state/seed.js";

export interface Inheritance {
  /** Of the host and of its fossilized seeds, by path. */
  readonly parameters: Tensors;
  /** Of those parameters, by path; left out where the run begins with fresh optimizer state. */
  readonly optimizer?: Tensors;
  /** All FOSSILIZED, under ids of their own: `inherited-1`, `inherited-2`, … in the order in which they were germinated. */
  readonly seeds: readonly Seed[];
}

/** Seeds that are not in the output are left behind. */
export function inheritanceOf(
  {
    tensors,
    kasmina,
    step,
  }: { readonly tensors: Tensors; readonly kasmina: Pick<KasminaSnapshot, "seeds">; readonly step: number },
  keepOptimizer: boolean,
): Inheritance {
  const kept = kasmina.seeds
    .filter((seed) => isInNetwork(seed) && alphaOf(seed, step) > 0)
    .sort((a, b) => a.germinationOrder - b.germinationOrder);
  const ids = new Map(kept.map(({ id }, i) => [id, `inherited-${i + 1}`]));
  const moved = Object.entries(tensors).flatMap(([path, tensor]) => {
    const to = inheritedPath(path, ids);
    return to === undefined ? [] : [[to, tensor] as const];
  });
  const isParameter = ([path]: readonly [string, unknown]): boolean => parameterOf(path) === path;
  return {
    parameters: Object.fromEntries(moved.filter(isParameter)),
    ...(keepOptimizer && { optimizer: Object.fromEntries(moved.filter((entry) => !isParameter(entry))) }),
    seeds: kept.map((seed, order) => fossilized(seed, ids.get(seed.id) ?? seed.id, { order, step })),
  };
}

function isInNetwork({ stage, kernel, pausedFrom }: Seed): boolean {
  return isInOutput(stage) && kernel !== undefined && pausedFrom === undefined;
}

/** Where a tensor stands in the run that begins; undefined where it is not taken along. */
function inheritedPath(path: string, ids: ReadonlyMap<string, string>): string | undefined {
  const parameter = parameterOf(path);
  const seedId = seedOf(path);
  const place = placeOf(parameter);
  const old = seedId ?? ("grownSeedId" in place ? place.grownSeedId : undefined);
  if (old === undefined) return path;
  const id = ids.get(old);
  const from = seedId === undefined ? grownModule(old) : seedModule(old);
  return id === undefined ? undefined : path.replace(parameter, parameter.replace(from, grownModule(id)));
}

/** Its α stays what it was, and its ramp is over before the first step. */
function fossilized(
  seed: Seed,
  id: string,
  { order, step }: { readonly order: number; readonly step: number },
): Seed {
  const { slotId, blueprintId, parameters, kernel, blend } = seed;
  return {
    ...{ id, slotId, blueprintId, parameters, stage: "FOSSILIZED", stats: NO_STATS },
    ...(kernel && { kernel }),
    blend: { ...blend, alphaTarget: alphaOf(seed, step) },
    rampStartStep: -Math.max(1, blend.schedule.steps),
    germinationOrder: order,
    germinatedAtStep: 0,
    inherited: true,
  };
}
