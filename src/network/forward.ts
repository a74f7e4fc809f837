/**
 * The forward pass of a topology: blocks in order, seeds at their slots, each as its part says (docs/architecture.md,
 * "Blending").
 */
import { lax } from "@jax-js/jax";
import { KasminaError, messageOf } from "../base/index.js";
import {
  float32,
  hostWeightControl,
  seedWeightControl,
  type TensorSpecs,
  type Tensors,
} from "../contracts/index.js";
import type { JaxArray } from "../engine/index.js";
import { type Block, type Host, type Parameters, parameterPathsOf } from "../nn/index.js";
import {
  isBlended,
  isDetached,
  type SeedSite,
  seedPath,
  sitesInOrder,
  slotShape,
  type Topology,
} from "./topology.js";

/** Gives the array of a path or control, with a reference for the caller. */
export type Lookup = (name: string) => JaxArray;

export interface ForwardInputs {
  readonly topology: Topology;
  readonly parameter: Lookup;
  readonly control: Lookup;
  /** Sees what a seed's kernel computed and gives what is blended in its place; consumes k. Default: k itself. */
  readonly onKernel?: (site: SeedSite, k: JaxArray) => JaxArray;
}

/** Specs of the blend controls of a topology. */
export function blendControlSpecs(topology: Topology): TensorSpecs {
  const specs = topology.sites.flatMap((site) => {
    const spec = { shape: [slotShape(topology, site).at(-1) ?? 1], dtype: "float32" as const };
    const names = weighsHost(topology, site)
      ? [seedWeightControl(site), hostWeightControl(site)]
      : [seedWeightControl(site)];
    return names.map((name) => [name, spec]);
  });
  return Object.fromEntries(specs);
}

/** The blend controls of one seed at one step, by name; `seedWeight` and `hostWeight` have one value a channel. */
export function blendTensors(
  site: Pick<SeedSite, "seedId">,
  { seedWeight, hostWeight }: { readonly seedWeight: Float32Array; readonly hostWeight: Float32Array },
): Tensors {
  return {
    [seedWeightControl(site)]: float32([seedWeight.length], seedWeight),
    [hostWeightControl(site)]: float32([hostWeight.length], hostWeight),
  };
}

/**
 * Whether h has a weight of its own: with a `replacement` kernel, and where it keeps its gradient next to a detached
 * delta.
 */
function weighsHost(topology: Topology, site: SeedSite): boolean {
  return site.blueprint.form === "replacement" || (site.part === "blending" && !isDetached(site, topology));
}

/**
 * Blends one seed into h, consuming h. For a `delta` kernel (s = h + k) all modes are h + w·k, w being α, α·vec or
 * the gated α per channel; for a `replacement` kernel (s = k) they are v·h + w·k, with v = 1 − w (convex) or 1
 * (residual). At w = 0 the result is h exactly.
 */
export function blendSeed(inputs: ForwardInputs, site: SeedSite, h: JaxArray): JaxArray {
  const weight = inputs.control(seedWeightControl(site));
  const detached = isDetached(site, inputs.topology);
  const host = detached ? lax.stopGradient(h) : h;
  const seedInput = detached || site.part === "blending" ? lax.stopGradient(host.ref) : host.ref;
  if (site.blueprint.form === "replacement") {
    const kernel = applySeed(inputs, site, seedInput);
    return host.mul(inputs.control(hostWeightControl(site))).add(kernel.mul(weight));
  }
  if (site.part !== "blending" || detached) {
    return host.add(applySeed(inputs, site, seedInput).mul(weight));
  }
  // hostGradient "flow": sg(h) + v·(h − sg(h)) + w·k, whose value is h + w·k and whose host gradient is v.
  const moving = host.sub(seedInput.ref).mul(inputs.control(hostWeightControl(site)));
  return seedInput.ref.add(moving).add(applySeed(inputs, site, seedInput).mul(weight));
}

/** k(h) of a seed; consumes h. */
function applySeed(inputs: ForwardInputs, site: SeedSite, h: JaxArray): JaxArray {
  const names = Object.keys(site.blueprint.parameters(slotShape(inputs.topology, site), site.parameters));
  const k = site.blueprint.apply(
    gather(names, (name) => inputs.parameter(seedPath(site, name))),
    h,
    site.parameters,
  );
  return inputs.onKernel ? inputs.onKernel(site, k) : k;
}

function gather(names: readonly string[], get: Lookup): Parameters {
  return Object.fromEntries(names.map((name) => [name, get(name)]));
}

/** What a pass does in addition to computing the logits. */
export interface PassOptions {
  /** Called with the activation right before each site; the reference is the callee's. */
  readonly onSite?: (site: SeedSite, h: JaxArray) => void;
  /** A seed that is taken as if its α were 0. */
  readonly without?: SeedSite;
  /** Leading blocks that were carried out before: x is what they give. Default 0: x is the example. */
  readonly prefix?: number;
  /** Called with what each block gives, borrowed. */
  readonly onBlock?: (h: JaxArray) => void;
}

/** The whole network: x [batch, ...input] → logits [batch, ..., classes]. Consumes x. */
export function forward(inputs: ForwardInputs, x: JaxArray, options: PassOptions = {}): JaxArray {
  const { prefix = 0 } = options;
  const last = inputs.topology.host.blocks[prefix - 1];
  const h = last ? runSites(inputs, sitesAt(inputs.topology, last.name), x, options) : x;
  return runBlocks(inputs, prefix, h, options);
}

/** The first `blocks` blocks of a host alone: x [batch, ...input] → [batch, ...]. Consumes x. */
export function forwardThrough(
  { host }: Pick<Topology, "host">,
  parameter: Lookup,
  blocks: number,
  x: JaxArray,
): JaxArray {
  return host.blocks.slice(0, blocks).reduce((h, block) => runBlock(host, parameter, block, h), x);
}

/** The network from one seed upward, that seed blended in: h at the seed's site → logits. Consumes h. */
export function forwardFrom(
  inputs: ForwardInputs,
  site: SeedSite,
  h: JaxArray,
  options: Pick<PassOptions, "onBlock"> = {},
): JaxArray {
  return resumeAfter(inputs, site, blendSeed(inputs, site, h), options);
}

/** The network from one seed upward, without that seed: h at the seed's site → logits. Consumes h. */
export function forwardWithout(inputs: ForwardInputs, site: SeedSite, h: JaxArray): JaxArray {
  return resumeAfter(inputs, site, h, {});
}

function resumeAfter(inputs: ForwardInputs, site: SeedSite, h: JaxArray, options: PassOptions): JaxArray {
  const siblings = sitesAt(inputs.topology, site.slotId);
  const later = siblings.slice(siblings.indexOf(site) + 1);
  const depth = inputs.topology.host.blocks.findIndex((block) => block.name === site.slotId);
  return runBlocks(inputs, depth + 1, runSites(inputs, later, h, options), options);
}

function runBlocks(inputs: ForwardInputs, from: number, x: JaxArray, options: PassOptions): JaxArray {
  const { host } = inputs.topology;
  let h = x;
  for (const block of host.blocks.slice(from)) {
    const sites = sitesAt(inputs.topology, block.name);
    h = runBlock(host, inputs.parameter, block, h);
    options.onBlock?.(h);
    h = runSites(inputs, sites, h, options);
  }
  return h;
}

function runBlock(host: Host, parameter: Lookup, block: Block, x: JaxArray): JaxArray {
  const parameters = [...parameterPathsOf(block)].map(([name, path]) => [name, parameter(path)] as const);
  return applyBlock(host, block, Object.fromEntries(parameters), x);
}

/** Blocks may be a user's own: what goes wrong in one is reported with its name. */
function applyBlock(host: Host, block: Block, parameters: Parameters, x: JaxArray): JaxArray {
  const batch = x.shape[0];
  const fail = (what: string, cause?: unknown): KasminaError =>
    new KasminaError("invalid_argument", `host ${host.id}, block ${block.name}: ${what}`, { cause });
  let h: JaxArray;
  try {
    h = block.apply(parameters, x);
  } catch (error) {
    throw fail(messageOf(error), error);
  }
  const expected = [batch, ...block.outputShape].join(", ");
  const given = Array.isArray(h?.shape) ? h.shape.join(", ") : undefined;
  if (given === expected) return h;
  throw fail(
    `apply gives ${given === undefined ? "no array" : `[${given}]`}, outputShape says [${expected}]`,
  );
}

function runSites(
  inputs: ForwardInputs,
  sites: readonly SeedSite[],
  start: JaxArray,
  options: PassOptions,
): JaxArray {
  let h = start;
  for (const site of sites) {
    options.onSite?.(site, h.ref);
    if (isBlended(site) && site !== options.without) h = blendSeed(inputs, site, h);
  }
  return h;
}

function sitesAt(topology: Topology, slotId: string): SeedSite[] {
  return sitesInOrder(topology).filter((site) => site.slotId === slotId);
}
