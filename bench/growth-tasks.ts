/** The tasks that growth is measured on. Learning rates are those at which the host alone does best of 0.001, 0.003, 0.005, 0.01. */
import type { Dataset } from "kasmina/contracts";
import { makeSpirals, openDataset } from "kasmina/data";
import { charlm, type Host, resmlp } from "kasmina/nn";
import type { Candidate } from "kasmina/tamiyo";

export interface GrowthTask {
  readonly dataset: Dataset;
  readonly host: Host;
  readonly epochs: number;
  readonly batch: number;
  readonly learningRate: number;
  readonly candidates: readonly Candidate[];
  /** Pairs beside which the other controls run: they say what growth is worth beside them, not by how much it wins. */
  readonly controls: number;
}

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
      controls: 3,
    };
  },
  /** The default host on spirals of 5 turns: it solves the usual 1.75 alone, with nothing left to gain. */
  spirals: async () => {
    const dataset = makeSpirals({ turns: 5, train: 4_000 });
    const candidates = [{ id: "mlp-residual", parameters: { hidden: 32 } }];
    return {
      dataset,
      host: resmlp(dataset),
      epochs: 60,
      batch: 50,
      learningRate: 0.005,
      candidates,
      controls: 3,
    };
  },
  /** A host small enough to come near its limit within a minute. */
  novel: async () => {
    const dataset = await openDataset("text:moby-dick");
    const host = charlm({ ...dataset, d: 16, layers: 1, heads: 2 });
    const candidates = [{ id: "mlp-residual", parameters: { hidden: 64 } }];
    return { dataset, host, epochs: 2, batch: 16, learningRate: 0.005, candidates, controls: 1 };
  },
};
