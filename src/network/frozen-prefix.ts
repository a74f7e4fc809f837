/**
 * The frozen prefix of a network: its leading blocks, as far as nothing in them learns and no seed stands between them. What
 * they give for a row is the same at every step, so it can be computed once and kept; programs then begin with it. They are
 * the same operations in the same order, so that the network's bits are the same either way.
 */
import { KasminaError } from "../base/index.js";
import { sizeOf } from "../contracts/index.js";
import type { ProgramDefinition } from "../engine/index.js";
import type { Block } from "../nn/index.js";
import { forwardThrough } from "./forward.js";
import { lookupIn } from "./gradients.js";
import { batchSpecs, parameterSpecs, type Topology } from "./topology.js";

/**
 * How many leading blocks of a topology are a frozen prefix whose result has at most `maxValues` values a row; 0 where there is
 * none. It ends at the first slot with a seed, or before the first block that learns.
 */
export function frozenPrefix(topology: Topology, maxValues: number): number {
  // A teacher takes the examples themselves.
  if (topology.teacher) return 0;
  const { blocks } = topology.host;
  const first = (is: (block: Block) => boolean): number => {
    const place = blocks.findIndex(is);
    return place < 0 ? blocks.length : place;
  };
  const hasSeed = ({ name }: Block): boolean => topology.sites.some(({ slotId }) => slotId === name);
  const count = Math.min(first(learns), first(hasSeed) + 1, blocks.length - 1);
  const isCostly = blocks.slice(0, count).some(({ parameters }) => Object.keys(parameters).length > 0);
  return isCostly && sizeOf(blocks[count - 1]?.outputShape ?? []) <= maxValues ? count : 0;
}

function learns({ parameters }: Block): boolean {
  return Object.values(parameters).some(({ trainable = true }) => trainable);
}

/** batch {x [batch, ...input]} → `features` [batch, ...], what the first `blocks` blocks give. */
export function prefixProgram(topology: Topology, blocks: number, batch: number): ProgramDefinition {
  const { x: input } = batchSpecs(topology.host, batch);
  return {
    name: "frozen prefix",
    state: parameterSpecs({ ...topology, sites: [] }, { to: blocks }),
    batch: { x: input },
    controls: {},
    run: (state, { x }) => {
      if (!x) throw new KasminaError("illegal_state", "the frozen prefix has no input");
      return { state: {}, outputs: { features: forwardThrough(topology, lookupIn(state), blocks, x) } };
    },
  };
}
