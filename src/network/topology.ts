/** A topology: which seeds stand where in a host, and how each takes part in a step. */
import {
  type BlueprintParameters,
  blockModule,
  grownModule,
  parameterPath,
  placeOf,
  type SeedPart,
  seedModule,
  type TensorSpec,
  type TensorSpecs,
} from "../contracts/index.js";
import { type Blueprint, type Host, type LossOptions, parameterPathsOf, slotsOf } from "../nn/index.js";
import { labelSpec } from "./tasks.js";

export interface SeedSite {
  readonly seedId: string;
  readonly slotId: string;
  readonly blueprint: Blueprint;
  readonly parameters: BlueprintParameters;
  /** How it takes part in the step. */
  readonly part: SeedPart;
}

/** A frozen network that what learns is to answer like. */
export interface TeacherNetwork {
  readonly id: string;
  /** Its host and the seeds in its output; of the same inputs and labels as the network that learns. */
  readonly topology: Topology;
}

export interface Topology {
  readonly host: Host;
  /** In slot order, then in germination order. */
  readonly sites: readonly SeedSite[];
  /** Whether the host below a BLENDING seed goes on learning (`flow`) or waits (`detach`). */
  readonly hostGradient: "detach" | "flow";
  /** Left out where nothing is distilled. */
  readonly teacher?: TeacherNetwork;
  /** What is to be learned, and what an example's loss is, to learn from and to judge by. Default: one class, by the cross-entropy. */
  readonly loss?: LossOptions;
  /** Largest norm of the gradient of each owner, the host and each seed for itself; what is longer is shortened. Default: none is. */
  readonly clipNorm?: number;
}

/** Whether the seed's output is in the network's. */
export function isBlended(site: SeedSite): boolean {
  return !isShadow(site);
}

/** Whether the seed is measured in parallel with the network, on a shadow loss. */
export function isShadow(site: SeedSite): boolean {
  return site.part === "shadow" || site.part === "germinated";
}

/** Whether it is still to be decided what becomes of the seed: then evaluations measure what it is worth. */
export function isJudged(site: SeedSite): boolean {
  return site.part !== "grown";
}

/** Whether nothing below the seed's slot receives a gradient. */
export function isDetached(site: SeedSite, topology: Topology): boolean {
  return site.part === "shadowing" || (site.part === "blending" && topology.hostGradient === "detach");
}

/** The path of a seed's parameter: its own while it is a seed, the host's once it is fossilized. */
export function seedPath({ seedId, part }: Pick<SeedSite, "seedId" | "part">, name: string): string {
  return parameterPath(part === "grown" ? grownModule(seedId) : seedModule(seedId), name);
}

/** Shape of the slot a site stands in, without the batch axis. */
export function slotShape(topology: Topology, site: SeedSite): readonly number[] {
  return topology.host.blocks.find((block) => block.name === site.slotId)?.outputShape ?? [];
}

/** Some blocks of a host, by their places: from the first named to before the last named. Default: all. */
export interface BlockRange {
  readonly from?: number;
  readonly to?: number;
}

/** Specs of the parameters of the host proper that these blocks read, by path. */
function hostSpecs(host: Host, { from, to }: BlockRange): TensorSpecs {
  const read = new Set(host.blocks.slice(from, to).flatMap((block) => [...parameterPathsOf(block).values()]));
  return Object.fromEntries(
    host.blocks.flatMap((block) =>
      Object.entries(block.parameters).flatMap(([name, { shape }]) => {
        const path = parameterPath(blockModule(block.name), name);
        return read.has(path) ? [[path, { shape, dtype: "float32" }]] : [];
      }),
    ),
  );
}

/** Specs of one seed's parameters, by path. */
export function siteSpecs(topology: Topology, site: SeedSite): TensorSpecs {
  const specs = site.blueprint.parameters(slotShape(topology, site), site.parameters);
  return Object.fromEntries(
    Object.entries(specs).map(([name, { shape }]) => [seedPath(site, name), { shape, dtype: "float32" }]),
  );
}

/** Specs of every parameter of a topology, host first; of the host, of what these blocks read. */
export function parameterSpecs(topology: Topology, blocks: BlockRange = {}): TensorSpecs {
  return Object.assign(
    {},
    hostSpecs(topology.host, blocks),
    ...topology.sites.map((site) => siteSpecs(topology, site)),
  );
}

/** What each parameter's gradient comes from in one step of a topology. */
export interface LearningPlan {
  /** Paths that learn from the network's own loss. */
  readonly main: readonly string[];
  /** For each seed with a shadow loss, the paths that it is differentiated by; only those of TRAINING seeds learn. */
  readonly shadows: ReadonlyMap<SeedSite, readonly string[]>;
}

/**
 * Which parameters learn. Below the last detached site nothing of the host does; those parameters wait,
 * optimizer state and all, as a parameter without a gradient does in PyTorch.
 */
export function learningPlan(topology: Topology): LearningPlan {
  const order = sitesInOrder(topology);
  const lastDetached = order.findLastIndex((site) => isDetached(site, topology));
  const barrier = lastDetached < 0 ? -1 : depthOf(topology, order[lastDetached]?.slotId);
  const host = topology.host.blocks.flatMap((block, depth) =>
    depth > barrier
      ? Object.entries(block.parameters).flatMap(([name, { trainable = true }]) =>
          trainable ? [parameterPath(blockModule(block.name), name)] : [],
        )
      : [],
  );
  const seeds = order.flatMap((site, i) =>
    learnsFromMain(site, i, lastDetached) ? Object.keys(siteSpecs(topology, site)) : [],
  );
  const shadows = order.filter(isShadow);
  return {
    main: [...host, ...seeds],
    shadows: new Map(shadows.map((site) => [site, Object.keys(siteSpecs(topology, site))])),
  };
}

function learnsFromMain(site: SeedSite, index: number, lastDetached: number): boolean {
  switch (site.part) {
    case "blending":
      return index >= lastDetached;
    case "probationary":
    case "grown":
      return index > lastDetached;
    default:
      return false;
  }
}

/** The sites in host order; within a slot, in the order given. */
export function sitesInOrder(topology: Topology): SeedSite[] {
  return slotsOf(topology.host).flatMap((slot) => topology.sites.filter((site) => site.slotId === slot.id));
}

function depthOf(topology: Topology, block: string | undefined): number {
  return topology.host.blocks.findIndex(({ name }) => name === block);
}

/**
 * Batch inputs of a host: x [batch, ...input], y [batch, ...labels], as the task has its labels, and where rows are weighed weight
 * [batch].
 * @param prefix leading blocks that were carried out before: x is what they give, [batch, ...]
 */
export function batchSpecs(
  host: Host,
  batch: number,
  { task, rowWeights = false }: Pick<LossOptions, "task" | "rowWeights"> = {},
  prefix = 0,
): { readonly x: TensorSpec; readonly y: TensorSpec; readonly weight?: TensorSpec } {
  return {
    x: inputSpec(host, batch, prefix),
    y: labelSpec(host, batch, task),
    ...(rowWeights && { weight: { shape: [batch], dtype: "float32" } }),
  };
}

function inputSpec(host: Host, batch: number, prefix: number): TensorSpec {
  if (prefix === 0) return { shape: [batch, ...host.inputShape], dtype: host.inputDType };
  return { shape: [batch, ...(host.blocks[prefix - 1]?.outputShape ?? [])], dtype: "float32" };
}

/** Whether a seed must not disturb the host: everything before PROBATIONARY. */
export function isIsolated(site: SeedSite): boolean {
  return site.part !== "probationary" && site.part !== "grown";
}

/** The isolated seeds, in host order. */
export function isolatedSites(topology: Topology): SeedSite[] {
  return sitesInOrder(topology).filter(isIsolated);
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
