/** The kernels of a configured run: built, prewarmed and fetched beside training. */
import { join } from "node:path";
import { parseConfig } from "../kasmina/index.js";
import type { GrowthConfig } from "./growth-config.js";
import { ThreadKernels } from "./thread-kernels.js";

/**
 * The catalog is the run folder's own unless one is named.
 *
 * @param folder path of the run's folder; left out where it has none
 */
export function openRunKernels(
  { catalog, engine, threads, batch, seed }: GrowthConfig,
  trainingRunId: string,
  folder?: string,
): Promise<ThreadKernels> {
  const catalogDir = catalog ?? (folder === undefined ? undefined : join(folder, "catalog"));
  return ThreadKernels.open({
    trainingRunId,
    seed,
    engine,
    batch,
    config: parseConfig(),
    ...(threads !== undefined && { threads }),
    ...(catalogDir !== undefined && { catalogDir }),
  });
}
