/** The network that a run has grown, for use elsewhere: as an ONNX model, or its weights as safetensors. */

import { KasminaError } from "../../base/index.js";
import { encodeSafetensors, type Tensors } from "../../contracts/index.js";
import { exportOnnx } from "../../engine/onnx/export-onnx.js";
import { forwardProgram, isBlended, parameterSpecs, type Topology } from "../../network/index.js";
import { builtinBlueprints, createHost } from "../../nn/index.js";
import { blendControls, topologyOf } from "../../tolaria/index.js";
import { readCheckpoint } from "./checkpoint.js";
import { dataMetadata, dataRecordIn } from "./data-record.js";
import { readRunFolder } from "./run-folder.js";
import { type Evaluated, fromSaved, networkOf, wreckOf } from "./saved-checkpoint.js";

export interface GrownNetwork {
  /** Host and blended seeds. */
  readonly topology: Topology;
  /** Host and blended seeds, by path. */
  readonly parameters: Tensors;
  /** How much of each seed is in the output, by control. */
  readonly blendWeights: Tensors;
  /**
   * Where it comes from: `training_run_id`, `checkpoint_sha256`, `step`, `host`, `seeds` (JSON), and how raw rows become inputs:
   * `data_sha256`, `input_scale`, `class_names`, `columns` (JSON).
   */
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Reads the network of a run from its checkpoint.
 * @throws KasminaError `invalid_argument` where `path` holds no run, `corrupt` where its checkpoint is damaged,
 * `loss_not_finite` where the network is wrecked
 */
export async function readGrownNetwork(path: string): Promise<GrownNetwork> {
  const { checkpointPath, about } = await readRunFolder(path);
  const data = dataRecordIn(about);
  const checkpoint = await readCheckpoint(checkpointPath);
  const { tensors, sha256 } = checkpoint;
  const network = networkOf(checkpoint.meta.network);
  const { seeds } = fromSaved(checkpoint).kasmina;
  const host = createHost(network.host.id, {
    inputShape: network.host.input_shape,
    inputDType: network.host.input_dtype,
    classes: network.host.classes,
  });
  const all = topologyOf({ host, blueprints: builtinBlueprints, hostGradient: "detach" }, seeds);
  const topology: Topology = { ...all, sites: all.sites.filter(isBlended) };
  const parameters = pick(tensors, Object.keys(parameterSpecs(topology)));
  refuseWrecked(network, parameters, path);
  return {
    topology,
    parameters,
    blendWeights: blendControls(topology, seeds, network.step).tensors,
    metadata: {
      training_run_id: String(checkpoint.meta.run_id),
      checkpoint_sha256: sha256,
      step: String(network.step),
      host: host.id,
      ...(data && dataMetadata(data)),
      seeds: JSON.stringify(
        network.seeds
          .filter(({ id }) => topology.sites.some(({ seedId }) => seedId === id))
          .map(({ id, blueprint, slot, stage }) => ({ id, blueprint, slot, stage })),
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

/** Nobody can use such a network, and nothing would say so later. */
export function refuseWrecked(network: Evaluated, parameters: Tensors, source: string): void {
  const why = wreckOf(network, parameters);
  if (why !== undefined)
    throw new KasminaError("loss_not_finite", `${source}: the network is wrecked: ${why}`);
}

function pick(tensors: Tensors, paths: readonly string[]): Tensors {
  const entries = paths.map((path) => {
    const tensor = tensors[path];
    if (!tensor) throw new KasminaError("corrupt", `the checkpoint has no ${path}`);
    return [path, tensor] as const;
  });
  return Object.fromEntries(entries);
}
