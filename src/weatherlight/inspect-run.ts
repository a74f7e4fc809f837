/** What a run folder holds: the host's blocks and slots, the seeds, and whether the checkpoint is what it says. */
import { z } from "zod";
import { KasminaError, messageOf } from "../base/index.js";
import { STAGES, sizeOf, type Tensors } from "../contracts/index.js";
import { readCheckpoint } from "../tolaria/checkpoint.node.js";
import { readRunFolder } from "../tolaria/run-folder.node.js";
import type { SeedReport } from "./growth-lines.js";

/** The part of a checkpoint's meta that describes the network, under the key `network`. */
const networkSchema = z.object({
  step: z.number(),
  epoch: z.number(),
  host: z.object({
    id: z.string(),
    input_shape: z.array(z.number()),
    input_dtype: z.enum(["float32", "int32"]),
    classes: z.number(),
    blocks: z.array(z.object({ name: z.string(), output_shape: z.array(z.number()), slot: z.boolean() })),
  }),
  seeds: z.array(
    z.object({
      id: z.string(),
      blueprint: z.string(),
      slot: z.string(),
      stage: z.enum(STAGES),
      alpha: z.number(),
      shadow_gain: z.number().nullable(),
      contribution: z.number().nullable(),
    }),
  ),
});

/** What the trainer writes into a checkpoint so that a run can be looked at without being started. */
export type NetworkMeta = z.infer<typeof networkSchema>;

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
  | { readonly valid: true; readonly sha256: string; readonly bytes: number }
  | { readonly valid: false; readonly problem: string };

export interface Inspection {
  readonly path: string;
  readonly run_id: string | null;
  /** Whether the run wrote its report. */
  readonly ended: boolean;
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
  const about = z.object({ run_id: z.string() }).safeParse(record.about);
  const base = {
    path: record.path,
    run_id: about.success ? about.data.run_id : null,
    ended: record.summary !== undefined,
  };
  try {
    const { tensors, meta, sha256, bytes } = await readCheckpoint(record.checkpointPath);
    const network = networkOf(meta.network);
    return { ...base, ...describeNetwork(network, tensors), checkpoint: { valid: true, sha256, bytes } };
  } catch (error) {
    const checkpoint = { valid: false as const, problem: messageOf(error) };
    const nothing = { step: null, epoch: null, host: null, blocks: [], seeds: [] };
    return { ...base, ...nothing, params_host: 0, params_total: 0, checkpoint };
  }
}

function networkOf(meta: unknown): NetworkMeta {
  const result = networkSchema.safeParse(meta);
  if (result.success) return result.data;
  const where = result.error.issues[0]?.path.join(".") ?? "";
  throw new KasminaError("corrupt", `the checkpoint does not describe its network: ${where} does not fit`);
}

function describeNetwork(network: NetworkMeta, tensors: Tensors) {
  const blocks = network.host.blocks.map((block) => ({
    ...block,
    parameters: countUnder(tensors, `host/${block.name}/`),
  }));
  // A fossilized seed's parameters are the host's, under a name of their own.
  const seeds = network.seeds.map((seed) => ({
    ...seed,
    parameters: countUnder(tensors, `seed/${seed.id}/`) + countUnder(tensors, `host/grown/${seed.id}/`),
  }));
  const params_host = blocks.reduce((sum, block) => sum + block.parameters, 0);
  return {
    step: network.step,
    epoch: network.epoch,
    host: network.host.id,
    blocks,
    seeds,
    params_host,
    params_total: countUnder(tensors, "host/") + countUnder(tensors, "seed/"),
  };
}

/** Scalars in the tensors whose path begins with `prefix`. */
function countUnder(tensors: Tensors, prefix: string): number {
  return Object.entries(tensors)
    .filter(([path]) => path.startsWith(prefix))
    .reduce((sum, [, tensor]) => sum + sizeOf(tensor.shape), 0);
}
