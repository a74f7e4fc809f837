/** The tasks that growth is measured on. Learning rates are the best that a few runs of the host alone showed, not those of a search. */
import { type Dataset, sizeOf } from "kasmina/contracts";
import { makeSpirals, openDataset } from "kasmina/data";
import { charlm, type Host, resmlp } from "kasmina/nn";
import type { Candidate, PlateauPolicyOptions } from "kasmina/tamiyo";

export interface GrowthTask {
  readonly dataset: Dataset;
  readonly host: Host;
  readonly epochs: number;
  readonly batch: number;
  readonly learningRate: number;
  readonly candidates: readonly Candidate[];
  /** Where the policy is not to be the default one. */
  readonly policy: Partial<PlateauPolicyOptions>;
  /** Pairs beside which the other controls run: they say what growth is worth beside them, not by how much it wins. */
  readonly controls: number;
}

/**
 * The earlier a seed is part of the network, the more of a short run it is worth: it germinates at once, and is judged as
 * soon as its gain is clear.
 */
const EARLY = { germinateAtEpoch: 0, minTraining: 5, maxTraining: 12, maxSeeds: 1 };

export const GROWTH_TASKS: Readonly<Record<string, () => Promise<GrowthTask>>> = {
  /** The default host. */
  mnist: async () => {
    const dataset = await openDataset("mnist");
    const candidates = [{ id: "mlp-residual", parameters: { hidden: 64 } }];
    return {
      dataset,
      host: resmlp(dataset),
      epochs: 6,
      batch: 128,
      learningRate: 0.003,
      candidates,
      policy: EARLY,
      controls: 3,
    };
  },
  /**
   * A host that is too small for its data: however long it is trained, four channels and one block do not get round 4 turns. The
   * default policy, which germinates once it sees a plateau.
   */
  spirals: async () => {
    const dataset = makeSpirals({ turns: 4, train: 32_000 });
    const host = resmlp({ ...dataset, width: 4, depth: 1 });
    const candidates = [{ id: "mlp-residual", parameters: { hidden: 16 } }];
    const task = { dataset, host, epochs: 60, batch: 200, learningRate: 0.01, candidates };
    return { ...task, policy: {}, controls: 3 };
  },
  /** A host small enough to come near its limit within a minute. */
  novel: async () => {
    const dataset = await novelWith(NOVEL_HELD_OUT);
    const host = charlm({ ...dataset, d: 16, layers: 1, heads: 2 });
    const candidates = [{ id: "mlp-residual", parameters: { hidden: 64 } }];
    const task = { dataset, host, epochs: 3, batch: 16, learningRate: 0.005, candidates };
    return { ...task, policy: { plateauImprovement: 0.15, minTraining: 8 }, controls: 1 };
  },
};

/** Rows of 64 characters that an observation evaluates. All 512 would cost a fifth of the FLOPs of so short a run. */
const NOVEL_HELD_OUT = 256;

/** The novel, with so many rows of 64 characters held out. */
export async function novelWith(heldOutRows: number): Promise<Dataset> {
  const text = await openDataset("text:moby-dick");
  return { ...text, heldOut: firstRows(text, heldOutRows) };
}

function firstRows({ heldOut, inputShape }: Dataset, count: number): Dataset["heldOut"] {
  const inputs = heldOut.inputs.slice(0, count * sizeOf(inputShape));
  return { ...heldOut, count, inputs, labels: heldOut.labels.slice(0, count * sizeOf(heldOut.labelShape)) };
}
