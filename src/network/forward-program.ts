/** The forward pass of a topology by itself: what is left of a network once its training is over. */
import type { ProgramDefinition } from "../engine/index.js";
import { blendControlSpecs, forward } from "./forward.js";
import { lookupIn } from "./gradients.js";
import { batchSpecs, parameterSpecs, type Topology } from "./topology.js";

/**
 * State: parameters and blend weights, which no longer change; batch `input` [batch, ...]; output `logits`
 * [batch, ..., classes].
 */
export function forwardProgram(topology: Topology, batch: number): ProgramDefinition {
  return {
    name: "forward pass",
    state: { ...parameterSpecs(topology), ...blendControlSpecs(topology) },
    batch: { input: batchSpecs(topology.host, batch).x },
    controls: {},
    run: (state, { input }) => {
      if (!input) throw new RangeError("no input");
      const lookup = lookupIn(state);
      return {
        state: {},
        outputs: { logits: forward({ topology, parameter: lookup, control: lookup }, input) },
      };
    },
  };
}
