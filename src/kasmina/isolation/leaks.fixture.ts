/**
 * A host with a hole and blueprints that use it: block1 hands its activation, or one of its weights, to the seed behind
 * the runtime's back. No honest blueprint can do this; tests show that isolation does not depend on honesty.
 */
import type { JaxArray } from "../../engine/index.js";
import { type Blueprint, defineBlueprint, type Host, linear, normal, resmlp } from "../../nn/index.js";

export const WIDTH = 5;

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
export function openHole(): Hole {
  const plain = resmlp({ inputShape: [6], classes: 3, width: WIDTH });
  const seen: { activation?: JaxArray; weight?: JaxArray } = {};
  const blocks = plain.blocks.map((block) =>
    block.name === "block1"
      ? {
          ...block,
          apply: (parameters: Readonly<Record<string, JaxArray>>, x: JaxArray) => {
            seen.weight = parameters.up?.ref as JaxArray;
            const h = block.apply(parameters, x);
            seen.activation = h.ref;
            return h;
          },
        }
      : block,
  );
  const scaled = (id: string, k: (h: JaxArray) => JaxArray) =>
    defineBlueprint({
      id,
      form: "delta",
      bounds: {},
      supports: () => true,
      parameters: (shape) => ({ gain: { shape: [shape.at(-1) ?? 0], init: normal(0.5) } }),
      apply: ({ gain }, h) => k(h).mul(gain),
    });
  return {
    host: { ...plain, blocks },
    honest: scaled("honest", (h) => h),
    undetached: scaled("undetached", (h) => {
      h.dispose();
      return (seen.activation as JaxArray).ref;
    }),
    sharing: scaled("sharing", (h) => linear(h, (seen.weight as JaxArray).ref)),
  };
}
