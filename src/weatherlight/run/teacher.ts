/** The teacher of a run: the grown network of another one, frozen. */
import { checkTeacher } from "../../network/index.js";
import type { Host } from "../../nn/index.js";
import type { TeacherOptions } from "../../tolaria/index.js";
import { readGrownNetwork } from "../folder/export-run.js";
import type { GrowthConfig } from "./growth-config.js";

export async function readTeacher(
  path: string,
  { distillTemperature, distillWeight }: GrowthConfig,
  host: Host,
): Promise<TeacherOptions> {
  const { topology, parameters, blendWeights, metadata } = await readGrownNetwork(path);
  const teacher = { id: metadata.training_run_id ?? path, topology };
  checkTeacher(teacher, host);
  const tensors = { ...parameters, ...blendWeights };
  return { ...teacher, tensors, temperature: distillTemperature, weight: distillWeight };
}
