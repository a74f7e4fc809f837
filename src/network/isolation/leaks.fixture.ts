/**
 * A host with a hole and blueprints that use it: block1 hands its activation, or one of its weights, to the seed behind
 * the runtime's back. No honest blueprint can do this; tests show that isolation does not depend on honesty.
 */
import type { JaxArray } from "../../engine/index.js";
import {
  type Blueprint,
  defineBlueprint,
  type Host,
  linear,
  type ResMlpOptions,
  resmlp,
  zeros,
} from "../../nn/index.js";

export interface Hole {
  readonly host: Host;
  /** Uses the activation it was given, as all blueprints do. */
  readonly honest: Blueprint;
  /** Drops the detach: works on the activation itself, not on the detached one it is given. */
  readonly undetached: Blueprint;
  /** Shares a parameter of the host: its own layer is block1's `up`. */
  readonly sharing: Blueprint;
}

/** A fresh host, with a hole of its own. */
export function openHole(options: ResMlpOptions = { inputShape: [6], classes: 3, width: 5 }): Hole {
  const plain = resmlp(options);
  const last = plain.blocks.at(-1)?.name;
  let seen: { readonly activation: JaxArray; readonly weight: JaxArray } | undefined;
  const blocks = plain.blocks.map((block) => ({
    ...block,
    apply: (parameters: Readonly<Record<string, JaxArray>>, x: JaxArray) => {
      const weight = parameters.up?.ref;
      const h = block.apply(parameters, x);
      if (block.name === "block1" && weight) seen = { activation: h.ref, weight };
      // A pass ends here: the hole is open to seeds in the network alone, not to passes that start above block1.
      if (block.name === last) seen = undefined;
      return h;
    },
  }));
  const scaled = (id: string, k: (h: JaxArray) => JaxArray) =>
    defineBlueprint({
      id,
      form: "delta",
      bounds: {},
      supports: () => true,
      parameters: (shape) => ({ gain: { shape: [shape.at(-1) ?? 0], init: zeros } }),
      apply: ({ gain }, h) => k(h).mul(gain),
    });
  return {
    host: { ...plain, blocks },
    honest: scaled("honest", (h) => h),
    undetached: scaled("undetached", (h) => {
      if (!seen) return h;
      h.dispose();
      return seen.activation.ref;
    }),
    sharing: scaled("sharing", (h) => (seen ? linear(h, seen.weight.ref) : h)),
  };
}
