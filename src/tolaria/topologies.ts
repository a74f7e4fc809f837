/** From the seeds of a run to the topology that its programs are built from, and to what those programs are fed. */

import {
  type BlueprintParameters,
  GROWTH_PATH,
  type InstalledTopology,
  partOf,
  resolveParameters,
  type SeedPart,
  type Stage,
  type Tensor,
  type Tensors,
} from "../contracts/index.js";
import { alphaOf } from "../kasmina/changes/measurements.js";
import { type BlendWeights, blendWeights } from "../kasmina/state/blending.js";
import type { PlannedChange } from "../kasmina/state/change-plan.js";
import type { Seed } from "../kasmina/state/seed.js";
import { blendTensors } from "../network/forward.js";
import {
  isShadow,
  type SeedSite,
  sitesInOrder,
  slotShape,
  type TeacherNetwork,
  type Topology,
} from "../network/topology.js";
import { type BlueprintRegistry, type Host, type LossOptions, slotsOf } from "../nn/index.js";

export interface TopologyOptions {
  readonly host: Host;
  readonly blueprints: BlueprintRegistry;
  readonly hostGradient: Topology["hostGradient"];
  readonly teacher?: TeacherNetwork;
  readonly loss?: LossOptions | undefined;
  readonly clipNorm?: number | undefined;
}

/** Whether a seed is in the program: its kernel is attached, it is not paused, and its stage takes part. */
interface Standing {
  readonly stage: Stage;
  readonly attached: boolean;
  readonly paused: boolean;
}

/** The topology of the given seeds as they stand. */
export function topologyOf(options: TopologyOptions, seeds: readonly Seed[]): Topology {
  return topologyWith(options, seeds, standingOf);
}

/** The topology as it will be once `change` has taken effect; undefined where it stays as it is. */
export function topologyAfter(
  options: TopologyOptions,
  seeds: readonly Seed[],
  change: PlannedChange,
): Topology | undefined {
  const effect = STANDING_AFTER[change.intent.kind];
  if (!effect) return undefined;
  return topologyWith(options, seeds, (seed) =>
    seed.id === change.seedId ? effect(standingOf(seed), change) : standingOf(seed),
  );
}

/**
 * The topologies that the seeds in their present stages lead to, the nearest first: every seed a stage further, gone,
 * and then in the stages after that.
 */
export function topologiesAhead(options: TopologyOptions, seeds: readonly Seed[]): Topology[] {
  const changing = seeds.filter(({ kernel, pausedFrom }) => kernel !== undefined && pausedFrom === undefined);
  const stagesAhead = ({ stage }: Seed): Stage[] => {
    const place = GROWTH_PATH.indexOf(stage);
    const [next, ...later] = place < 0 ? [] : GROWTH_PATH.slice(place + 1);
    return next ? [next, "CULLED", ...later] : [];
  };
  const ahead = changing.flatMap((seed) =>
    stagesAhead(seed).map((stage, distance) => ({ seed, stage, distance })),
  );
  return ahead
    .sort((a, b) => a.distance - b.distance)
    .map(({ seed, stage }) =>
      topologyWith(options, seeds, (other) => ({ ...standingOf(other), ...(other === seed && { stage }) })),
    );
}

/** What may be grafted. */
export interface GraftCandidate {
  /** Of the blueprint. */
  readonly id: string;
  readonly parameters: BlueprintParameters;
}

/** The first parts that a seed takes, one soon after the other. */
const FIRST_PARTS = ["germinated", "shadow"] as const satisfies readonly SeedPart[];

/** The topologies that one more seed of each candidate would first lead to, in every slot it fits: grafts first. */
export function topologiesOfCandidates(
  present: Topology,
  options: TopologyOptions,
  candidates: readonly GraftCandidate[],
): Topology[] {
  return FIRST_PARTS.flatMap((part) =>
    candidates.flatMap(({ id, parameters }) => {
      const blueprint = options.blueprints.get(id);
      const slots = slotsOf(options.host).filter(({ shape }) => blueprint.supports(shape));
      return slots.map((slot): Topology => {
        const site = { seedId: "candidate", slotId: slot.id, blueprint, part };
        const grafted = { ...site, parameters: resolveParameters(blueprint, parameters) };
        return { ...present, sites: sitesInOrder({ ...present, sites: [...present.sites, grafted] }) };
      });
    }),
  );
}

type StandingEffect = (standing: Standing, change: PlannedChange) => Standing;

const STANDING_AFTER: { readonly [K in PlannedChange["intent"]["kind"]]?: StandingEffect } = {
  attach: (standing) => ({ ...standing, attached: true }),
  stage: (standing, { intent }) => (intent.kind === "stage" ? { ...standing, stage: intent.to } : standing),
  remove: (standing) => ({ ...standing, stage: "CULLED" }),
  pause: (standing) => ({ ...standing, paused: true }),
  resume: (standing) => ({ ...standing, paused: false }),
};

function standingOf(seed: Seed): Standing {
  return { stage: seed.stage, attached: seed.kernel !== undefined, paused: seed.pausedFrom !== undefined };
}

function topologyOfSites(
  { host, hostGradient, teacher, loss, clipNorm }: TopologyOptions,
  sites: readonly SeedSite[],
): Topology {
  return {
    ...{ host, sites, hostGradient },
    ...(teacher && { teacher }),
    ...(loss && { loss }),
    ...(clipNorm !== undefined && { clipNorm }),
  };
}

function topologyWith(
  options: TopologyOptions,
  seeds: readonly Seed[],
  standing: (seed: Seed) => Standing,
): Topology {
  const sites = seeds.flatMap((seed): SeedSite[] => {
    const { stage, attached, paused } = standing(seed);
    const part = partOf(stage);
    if (!part || !attached || paused) return [];
    const { id: seedId, slotId, parameters, blueprintId } = seed;
    return [{ seedId, slotId, parameters, part, blueprint: options.blueprints.get(blueprintId) }];
  });
  return topologyOfSites(options, sites);
}

/** The blend controls of a topology at a step, with the weights they were made of, by seed id. */
export interface BlendControls {
  readonly tensors: Tensors;
  readonly weights: ReadonlyMap<string, BlendWeights>;
}

/** A seed that is not in the output yet is measured at its target α; all others blend at their α of the step. */
export function blendControls(topology: Topology, seeds: readonly Seed[], step: number): BlendControls {
  const tensors: Record<string, Tensor> = {};
  const weights = new Map<string, BlendWeights>();
  for (const site of topology.sites) {
    const seed = seeds.find(({ id }) => id === site.seedId);
    if (!seed) continue;
    const channels = slotShape(topology, site).at(-1) ?? 1;
    const alpha = isShadow(site) ? seed.blend.alphaTarget : alphaOf(seed, step);
    const blend = blendWeights(seed.blend, alpha, channels);
    weights.set(site.seedId, blend);
    Object.assign(tensors, blendTensors(site, blend));
  }
  return { tensors, weights };
}

/** What G3 and G5 look at: where the program holds which seed. */
export function installedTopology(topology: Topology): InstalledTopology {
  return {
    slots: Object.fromEntries(slotsOf(topology.host).map(({ id, shape }) => [id, shape])),
    seeds: Object.fromEntries(
      topology.sites.map((site) => [
        site.seedId,
        { slotId: site.slotId, outputShape: slotShape(topology, site) },
      ]),
    ),
  };
}
