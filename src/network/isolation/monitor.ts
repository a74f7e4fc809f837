/**
 * The isolation monitor's programs. They differentiate the network's own loss, by the very pass that the
 * training step makes, with respect to the host parameters below the isolated seeds, also those that wait in the
 * step, and give back the sampled coordinates of each gradient:
 *
 * - the **probe**, run every `isolationEvery` steps: `with` the seeds as they are, and `without` their branches
 *   (kernel outputs cut from the gradient, TRAINING seeds left out). The two come from the same computation, so they
 *   are equal to the last bit unless something leaks;
 * - the **inquiry**, run only when they are not: which seed it is, how much, and in which direction.
 */
import { lax, numpy as np } from "@jax-js/jax";
import type { Arrays, JaxArray, ProgramDefinition } from "../../engine/index.js";
import { blendControlSpecs } from "../forward.js";
import { lookupIn, networkGradients } from "../gradients.js";
import {
  batchSpecs,
  isIsolated,
  isolatedSites,
  isShadow,
  parameterSpecs,
  type SeedSite,
  type Topology,
} from "../topology.js";
import { type CoordinateSample, sampleCoordinates } from "./sample.js";

export interface MonitorOptions {
  /** Rows of a batch, as the trainer feeds them. */
  readonly batch: number;
  /** Rows that are looked at, the first of the batch; isolation is structural, so some rows stand for all. */
  readonly rows: number;
  /** Most coordinates of a gradient that are compared. */
  readonly coordinates: number;
}

/** batch {x, y} as the training step's → `with` [coordinates], `without` [coordinates]. Leaves the state as it is. */
export function probeProgram(topology: Topology, options: MonitorOptions): ProgramDefinition {
  return monitorProgram("isolation probe", topology, options, (gradient) => ({
    with: gradient(topology),
    without: gradient(withoutSeeds(topology), isIsolated),
  }));
}

/**
 * batch {x, y} → `with`, `reference`, and of each isolated seed `without/<id>`, `open/<id>`, `closed/<id>`, all
 * [coordinates].
 */
export function inquiryProgram(topology: Topology, options: MonitorOptions): ProgramDefinition {
  return monitorProgram("isolation inquiry", topology, options, (gradient) => {
    const outputs: Arrays = { with: gradient(topology), reference: referenceGradient(topology, gradient) };
    for (const site of isolatedSites(topology)) {
      const only = (other: SeedSite): boolean => other.seedId === site.seedId;
      const open = openedFor(topology, [site]);
      outputs[`without/${site.seedId}`] = gradient(withoutBeside(topology, only), only);
      outputs[`open/${site.seedId}`] = gradient(open);
      outputs[`closed/${site.seedId}`] = gradient(open, only);
    }
    return outputs;
  });
}

/** The sampled gradient of the network as `topology` has it, the kernels of `cut` seeds taken as constants. */
type SampledGradient = (topology: Topology, cut?: (site: SeedSite) => boolean) => JaxArray;

function monitorProgram(
  name: string,
  topology: Topology,
  { batch, rows, coordinates }: MonitorOptions,
  outputs: (gradient: SampledGradient) => Arrays,
): ProgramDefinition {
  const sample = sampleCoordinates(topology, coordinates);
  return {
    name,
    state: parameterSpecs(topology),
    batch: { ...batchSpecs(topology.host, batch, topology.loss) },
    controls: blendControlSpecs(topology),
    run(parameters, arrays, controls) {
      const { x, y, weight } = arrays as { x: JaxArray; y: JaxArray; weight?: JaxArray };
      const seen = { x: x.slice([0, rows]), y: y.slice([0, rows]), weight: weight?.slice([0, rows]) };
      const paths = sample.map(({ path }) => path);
      const gradient: SampledGradient = (seedsIn, cut = () => false) => {
        const inputs = {
          topology: seedsIn,
          control: lookupIn(controls),
          onKernel: (site: SeedSite, k: JaxArray) => (cut(site) ? lax.stopGradient(k) : k),
        };
        const [, gradients] = networkGradients(inputs, { parameters, paths, ...seen });
        return take(sample, gradients);
      };
      return { state: {}, outputs: outputs(gradient) };
    },
  };
}

/** The gradient that the host below would get if the seeds' branches alone were cut and nothing were detached. */
function referenceGradient(topology: Topology, gradient: SampledGradient): JaxArray {
  const inTheNetwork = isolatedSites(topology).filter((site) => !isShadow(site));
  return gradient(openedFor(withoutSeeds(topology), inTheNetwork), isIsolatedIn(topology));
}

function isIsolatedIn(topology: Topology): (site: SeedSite) => boolean {
  const ids = new Set(isolatedSites(topology).map(({ seedId }) => seedId));
  return ({ seedId }) => ids.has(seedId);
}

/** The topology with some seeds in the network and nothing detached at them. */
function openedFor(topology: Topology, opened: readonly SeedSite[]): Topology {
  const sites = topology.sites.map((site) =>
    opened.includes(site) ? { ...site, part: "probationary" as const } : site,
  );
  return { ...topology, sites };
}

/** The topology without the seeds that only run in parallel with the network. */
function withoutSeeds(topology: Topology): Topology {
  return withoutBeside(topology, () => true);
}

function withoutBeside(topology: Topology, chosen: (site: SeedSite) => boolean): Topology {
  return { ...topology, sites: topology.sites.filter((site) => !(isShadow(site) && chosen(site))) };
}

/** The sampled coordinates of the gradients: [coordinates]. */
function take(sample: CoordinateSample, gradients: Arrays): JaxArray {
  const gradient = lookupIn(gradients);
  const taken = sample.map(({ path, indices }) =>
    np.take(gradient(path).reshape([-1]), np.array(indices, { dtype: np.int32 })),
  );
  return np.concatenate(taken);
}
