/** Takes a seed's learned weights out of a run's checkpoint and publishes them as an artifact of their own. */
import { KasminaError } from "../../base/index.js";
import type { CatalogEntry, KernelBuilder } from "../../catalog/index.js";
import { grownModule, isInModule, type Tensors } from "../../contracts/index.js";
import type { Seed } from "../../kasmina/index.js";
import { type BlueprintRegistry, builtinBlueprints } from "../../nn/index.js";
import type { RunCheckpoint } from "../grow/run-outcome.js";
import { readCheckpoint } from "./checkpoint.js";
import { readRunFolder } from "./run-folder.js";
import { checkpointMetaOf, fromSaved, refuseWrecked } from "./saved-checkpoint.js";

export interface HarvestOptions {
  /** Folder of the run. */
  readonly runDir: string;
  readonly seedId: string;
  readonly builder: KernelBuilder;
  /** Default: the built-in ones. */
  readonly blueprints?: BlueprintRegistry;
}

/**
 * Publishes the weights of a FOSSILIZED seed as they stand in the run's checkpoint. Attached elsewhere they are
 * function-preserving like any kernel: a seed's output enters the network from alpha 0 on.
 *
 * Rejects with KasminaError: `invalid_argument` for a run or seed that is not there or not fossilized, `corrupt` for a
 * checkpoint that is damaged or does not describe the seed, `loss_not_finite` for a network that is wrecked.
 */
export async function harvestSeed(options: HarvestOptions): Promise<CatalogEntry> {
  const { runDir, seedId, builder, blueprints = builtinBlueprints } = options;
  const record = await readRunFolder(runDir);
  const checkpoint = await readCheckpoint(record.checkpointPath);
  const { network, run_id } = checkpointMetaOf(checkpoint.meta);
  const seed = seedFrom(fromSaved(checkpoint), seedId, runDir);
  const block = network.host.blocks.find(({ name }) => name === seed.slotId);
  if (!block) throw new KasminaError("corrupt", `${runDir}: the host has no slot ${seed.slotId}`);
  const tensors = weightsOf(checkpoint.tensors, seedId);
  refuseWrecked(network, tensors, runDir);
  return builder.publish(
    {
      blueprint: blueprints.get(seed.blueprintId),
      parameters: seed.parameters,
      slotShape: block.output_shape,
      tensors,
      startsAtZero: false,
    },
    { kind: "harvested", trainingRunId: run_id, seedId },
  );
}

function seedFrom({ kasmina }: RunCheckpoint, seedId: string, runDir: string): Seed {
  const { seeds } = kasmina;
  const seed = seeds.find(({ id }) => id === seedId);
  const known = seeds.map(({ id, stage }) => `${id} (${stage})`).join(", ") || "none";
  if (!seed) throw new KasminaError("invalid_argument", `${runDir} has no seed ${seedId}; it has ${known}`);
  if (seed.stage !== "FOSSILIZED")
    throw new KasminaError(
      "invalid_argument",
      `seed ${seedId} is ${seed.stage}; only a FOSSILIZED one has proved itself`,
    );
  return seed;
}

function weightsOf(tensors: Tensors, seedId: string): Tensors {
  const module = grownModule(seedId);
  const own = Object.entries(tensors).filter(([path]) => isInModule(module, path));
  if (own.length === 0)
    throw new KasminaError("corrupt", `the checkpoint holds no weights of seed ${seedId}`);
  return Object.fromEntries(own.map(([path, tensor]) => [path.slice(module.length + 1), tensor]));
}
