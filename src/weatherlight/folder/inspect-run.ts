/** What a run folder holds: the host's blocks and slots, the seeds, and whether the checkpoint is what it says. */
import { z } from "zod";
import { messageOf } from "../../base/index.js";
import {
  blockModule,
  grownModule,
  HOST_ROOT,
  isInModule,
  SEED_ROOT,
  seedModule,
  sizeOf,
  type Tensors,
} from "../../contracts/index.js";
import { readCheckpoint } from "./checkpoint.js";
import { type DataRecord, dataRecordIn } from "./data-record.js";
import type { SeedReport } from "./growth-lines.js";
import { endedIn, readRunFolder } from "./run-folder.js";
import { checkpointMetaOf, type NetworkMeta, wreckOf } from "./saved-checkpoint.js";

const LINEAGE = { parent: z.string().optional(), parent_run_id: z.string().optional() };

export interface InspectedBlock {
  readonly name: string;
  /** Of its output, without the batch. */
  readonly output_shape: readonly number[];
  /** Whether seeds may be grafted after it; the slot bears the block's name. */
  readonly slot: boolean;
  readonly parameters: number;
}

export interface InspectedSeed extends SeedReport {
  readonly parameters: number;
}

export type InspectedCheckpoint =
  | {
      readonly valid: true;
      readonly sha256: string;
      readonly bytes: number;
      /** Why nobody can use the network: values that are not finite. Null where there is no such reason. */
      readonly wrecked: string | null;
    }
  | { readonly valid: false; readonly problem: string };

export interface Inspection {
  readonly path: string;
  readonly run_id: string | null;
  /** `finished`, `halted`, `interrupted`; null while it goes on, and where it died. */
  readonly ended: string | null;
  /** Which data it was trained on; null where `run.json` does not say. */
  readonly data: DataRecord | null;
  /** Digest of the checkpoint, or of the ONNX file, that it went on from, and that run's id; null where there is none. */
  readonly parent: string | null;
  readonly parent_run_id: string | null;
  readonly step: number | null;
  readonly epoch: number | null;
  readonly host: string | null;
  readonly blocks: readonly InspectedBlock[];
  readonly seeds: readonly InspectedSeed[];
  readonly params_host: number;
  readonly params_total: number;
  readonly checkpoint: InspectedCheckpoint;
}

/**
 * Reads a run folder and checks its checkpoint. A checkpoint that is missing or damaged is part of the answer;
 * nothing of it is used.
 *
 * @throws KasminaError `invalid_argument` where `path` holds no run
 */
export async function inspectRun(path: string): Promise<Inspection> {
  const record = await readRunFolder(path);
  const about = z.object({ run_id: z.string(), ...LINEAGE }).safeParse(record.about);
  const base = {
    path: record.path,
    run_id: about.success ? about.data.run_id : null,
    ended: endedIn(record.summary),
    parent: about.data?.parent ?? null,
    parent_run_id: about.data?.parent_run_id ?? null,
    data: dataRecordIn(record.about) ?? null,
  };
  try {
    const { tensors, meta, sha256, bytes } = await readCheckpoint(record.checkpointPath);
    const network = checkpointMetaOf(meta).network;
    const checkpoint = { valid: true as const, sha256, bytes, wrecked: wreckOf(network, tensors) ?? null };
    return { ...base, ...describeNetwork(network, tensors), checkpoint };
  } catch (error) {
    const checkpoint = { valid: false as const, problem: messageOf(error) };
    const nothing = { step: null, epoch: null, host: null, blocks: [], seeds: [] };
    return { ...base, ...nothing, params_host: 0, params_total: 0, checkpoint };
  }
}

function describeNetwork(network: NetworkMeta, tensors: Tensors) {
  const blocks = network.host.blocks.map((block) => ({
    ...block,
    parameters: countIn(tensors, blockModule(block.name)),
  }));
  // A fossilized seed's parameters are the host's, under a name of their own.
  const seeds = network.seeds.map((seed) => ({
    ...seed,
    parameters: countIn(tensors, seedModule(seed.id)) + countIn(tensors, grownModule(seed.id)),
  }));
  const ofHost = [...blocks, ...seeds.filter(({ inherited }) => inherited)];
  const params_host = ofHost.reduce((sum, { parameters }) => sum + parameters, 0);
  return {
    step: network.step,
    epoch: network.epoch,
    host: network.host.id,
    blocks,
    seeds,
    params_host,
    params_total: countWhere(tensors, (path) => path.startsWith(HOST_ROOT) || path.startsWith(SEED_ROOT)),
  };
}

/** Scalars in the tensors of a module. */
function countIn(tensors: Tensors, module: string): number {
  return countWhere(tensors, (path) => isInModule(module, path));
}

function countWhere(tensors: Tensors, counts: (path: string) => boolean): number {
  return Object.entries(tensors)
    .filter(([path]) => counts(path))
    .reduce((sum, [, tensor]) => sum + sizeOf(tensor.shape), 0);
}
