/** The kernels of a configured run, built, prewarmed and fetched beside training; and the limits that hold for them. */
import { join } from "node:path";
import { type KasminaConfig, parseConfig } from "../../kasmina/index.js";
import { ThreadKernels } from "../kernels/thread-kernels.js";
import type { GrowthConfig } from "./growth-config.js";

/** The limits of a run: the defaults, but for what was asked for. */
export function limitsOf({ latencyBudget, stepShareBudget }: GrowthConfig): KasminaConfig {
  const kernel = {
    ...(latencyBudget !== undefined && { latencyBudgetMs: latencyBudget }),
    ...(stepShareBudget !== undefined && { stepShareBudget }),
  };
  return parseConfig({ kernel });
}

/**
 * The catalog is the run folder's own unless one is named.
 *
 * @param folder path of the run's folder; left out where it has none
 */
export function openRunKernels(
  config: GrowthConfig,
  trainingRunId: string,
  folder?: string,
): Promise<ThreadKernels> {
  const { catalog, engine, threads, batch, seed } = config;
  const catalogDir = catalog ?? (folder === undefined ? undefined : join(folder, "catalog"));
  return ThreadKernels.open({
    trainingRunId,
    seed,
    engine,
    batch,
    config: limitsOf(config),
    ...(threads !== undefined && { threads }),
    ...(catalogDir !== undefined && { catalogDir }),
  });
}
