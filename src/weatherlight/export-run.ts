/** The network that a run has grown, for use elsewhere: as an ONNX model, or its weights as safetensors. */
import { z } from "zod";
import { KasminaError } from "../base/index.js";
import { encodeSafetensors, type Tensors } from "../contracts/index.js";
import { exportOnnx } from "../engine/export-onnx.js";
import {
  blendControls,
  forwardProgram,
  isBlended,
  parameterSpecs,
  type Topology,
  topologyOf,
} from "../kasmina/index.js";
import { builtinBlueprints, createHost } from "../nn/index.js";
import { readCheckpoint } from "../tolaria/checkpoint.node.js";
import { readRunFolder } from "../tolaria/run-folder.node.js";
import { fromSaved } from "./saved-checkpoint.js";

/** The part of a checkpoint's meta that a network can be built from. */
const metaSchema = z.object({
  run_id: z.string(),
  network: z.object({
    step: z.number(),
    host: z.object({
      id: z.string(),
      input_shape: z.array(z.number()),
      input_dtype: z.enum(["float32", "int32"]),
      classes: z.number(),
    }),
    seeds: z.array(z.object({ id: z.string(), blueprint: z.string(), slot: z.string(), stage: z.string() })),
  }),
});

export interface GrownNetwork {
  /** Host and blended seeds. */
  readonly topology: Topology;
  /** Host and blended seeds, by path. */
  readonly parameters: Tensors;
  /** How much of each seed is in the output, by control. */
  readonly blendWeights: Tensors;
  /** Where it comes from: `training_run_id`, `checkpoint_sha256`, `step`, `host`, `seeds` (JSON). */
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Reads the network of a run from its checkpoint.
 * @throws KasminaError `invalid_argument` where `path` holds no run, `corrupt` where its checkpoint is damaged
 */
export async function readGrownNetwork(path: string): Promise<GrownNetwork> {
  const { checkpointPath } = await readRunFolder(path);
  const checkpoint = await readCheckpoint(checkpointPath);
  const { tensors, sha256 } = checkpoint;
  const parsed = metaSchema.safeParse(checkpoint.meta);
  if (!parsed.success) {
    const where = parsed.error.issues[0]?.path.join(".") ?? "";
    throw new KasminaError("corrupt", `the checkpoint does not describe its network: ${where} does not fit`);
  }
  const { network, run_id: runId } = parsed.data;
  const { seeds } = fromSaved(checkpoint).kasmina;
  const host = createHost(network.host.id, {
    inputShape: network.host.input_shape,
    inputDType: network.host.input_dtype,
    classes: network.host.classes,
  });
  const all = topologyOf({ host, blueprints: builtinBlueprints, hostGradient: "detach" }, seeds);
  const topology: Topology = { ...all, sites: all.sites.filter(isBlended) };
  return {
    topology,
    parameters: pick(tensors, Object.keys(parameterSpecs(topology))),
    blendWeights: blendControls(topology, seeds, network.step).tensors,
    metadata: {
      training_run_id: runId,
      checkpoint_sha256: sha256,
      step: String(network.step),
      host: host.id,
      seeds: JSON.stringify(
        network.seeds.filter(({ id }) => topology.sites.some(({ seedId }) => seedId === id)),
      ),
    },
  };
}

/** The forward pass, `input` [batch, ...] → `logits` [batch, ..., classes], as an ONNX model. */
export function networkToOnnx({ topology, parameters, blendWeights, metadata }: GrownNetwork): Uint8Array {
  return exportOnnx({
    name: `forward pass of ${topology.host.id}`,
    definition: (batch) => forwardProgram(topology, batch),
    parameters: { ...parameters, ...blendWeights },
    metadata,
  });
}

/** Parameters and blend weights, without optimizer state. */
export function networkToSafetensors({ parameters, blendWeights, metadata }: GrownNetwork): Uint8Array {
  return encodeSafetensors({ ...parameters, ...blendWeights }, metadata);
}

function pick(tensors: Tensors, paths: readonly string[]): Tensors {
  const entries = paths.map((path) => {
    const tensor = tensors[path];
    if (!tensor) throw new KasminaError("corrupt", `the checkpoint has no ${path}`);
    return [path, tensor] as const;
  });
  return Object.fromEntries(entries);
}
