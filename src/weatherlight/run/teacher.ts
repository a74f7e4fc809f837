/** The teacher of a run: the grown network of another one, frozen. */
import { KasminaError } from "../../base/index.js";
import { checkTeacher } from "../../network/index.js";
import type { Host } from "../../nn/index.js";
import type { TeacherOptions } from "../../tolaria/index.js";
import { readGrownNetwork } from "../folder/export-run.js";
import type { GrowthConfig } from "./growth-config.js";

export interface RunTeacher extends TeacherOptions {
  /** Of the checkpoint that it was read from. */
  readonly sha256?: string | undefined;
}

/**
 * @param recorded the digest of the checkpoint that a run which goes on began with
 * @throws KasminaError `invalid_data` where the teacher has changed since
 */
export async function readTeacher(
  path: string,
  { distillTemperature, distillWeight }: GrowthConfig,
  host: Host,
  recorded?: string,
): Promise<RunTeacher> {
  const { topology, parameters, blendWeights, metadata } = await readGrownNetwork(path);
  const sha256 = metadata.checkpoint_sha256;
  if (recorded !== undefined && recorded !== sha256)
    throw new KasminaError("invalid_data", `the teacher in ${path} has changed since the run began`);
  const teacher = { id: metadata.training_run_id ?? path, topology };
  checkTeacher(teacher, host);
  const tensors = { ...parameters, ...blendWeights };
  return { ...teacher, tensors, temperature: distillTemperature, weight: distillWeight, sha256 };
}
