/**
 * The forward pass with its seams laid open: what every blended seed is given and what its kernel makes of it. Only
 * traced and walked, never run; one row stands for all.
 */
import type { Arrays, JaxArray, ProgramDefinition } from "../../engine/index.js";
import { blendControlSpecs, forward } from "../forward.js";
import { lookupIn } from "../gradients.js";
import { batchSpecs, isBlended, parameterSpecs, type SeedSite, type Topology } from "../topology.js";

/** Output of {@link branchProgram}: the activation at a seed's place. */
export function seamInput(site: Pick<SeedSite, "seedId">): string {
  return `input/${site.seedId}`;
}

/** Output of {@link branchProgram}: k of a seed, before it is blended in. */
export function seamKernel(site: Pick<SeedSite, "seedId">): string {
  return `kernel/${site.seedId}`;
}

/** state {parameters}, batch {x [1, ...]}, controls {blend weights} → `logits`, and the seams of each blended seed. */
export function branchProgram(topology: Topology): ProgramDefinition {
  return {
    name: "seed branches",
    state: parameterSpecs(topology),
    batch: { x: batchSpecs(topology.host, 1).x },
    controls: blendControlSpecs(topology),
    run(state, { x }, controls) {
      const outputs: Arrays = {};
      const keep = (name: string, array: JaxArray): void => {
        outputs[name] = array;
      };
      const inputs = {
        topology,
        parameter: lookupIn(state),
        control: lookupIn(controls),
        onKernel: (site: SeedSite, k: JaxArray) => {
          keep(seamKernel(site), k.ref);
          return k;
        },
      };
      const logits = forward(inputs, x as JaxArray, {
        onSite: (site, h) => (isBlended(site) ? keep(seamInput(site), h) : h.dispose()),
      });
      return { state: {}, outputs: { ...outputs, logits } };
    },
  };
}
