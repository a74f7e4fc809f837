/** The teacher of a run: what it is given as, how it is registered, and the controls that it adds to each step. */

import { scalar, TEACHER_ROOT, type Tensors } from "../contracts/index.js";
import type { Kasmina } from "../kasmina/index.js";
import {
  checkTeacher,
  DISTILLATION_TEMPERATURE,
  DISTILLATION_WEIGHT,
  type TeacherNetwork,
  type Topology,
  teacherSpecs,
} from "../network/index.js";
import type { Host } from "../nn/index.js";
import type { ModelState } from "./model-state.js";

/** A network to learn from, in addition to the labels. */
export interface TeacherOptions extends TeacherNetwork {
  /** Its parameters by path, and the blend weights of its seeds by control. */
  readonly tensors: Tensors;
  /** Softmax temperature. Default 4. */
  readonly temperature?: number;
  /** Part of the teacher in the loss, 0 to 1; the labels have the rest. Default 0.3. */
  readonly weight?: number;
}

/** @throws KasminaError `invalid_argument` for a teacher of other inputs or labels, `overloaded` over the memory budget */
export function registerTeacher(
  teacher: TeacherOptions,
  host: Host,
  kasmina: Kasmina,
  model: ModelState,
): void {
  checkTeacher(teacher, host);
  kasmina.registerTeacher(teacher.id, teacherSpecs(teacher));
  const tensors = Object.entries(teacher.tensors).map(([path, tensor]) => [`${TEACHER_ROOT}${path}`, tensor]);
  model.addTeacher(Object.fromEntries(tensors));
}

/** A run that was resumed after its teacher had been reset goes on without. */
export function releaseTeacher(kasmina: Kasmina, model: ModelState): void {
  kasmina.deregisterTeacher();
  model.removeTeacher();
}

/** What a step of this topology is fed for its teacher. */
export function distillationControls({ teacher }: Topology, options: TeacherOptions | undefined): Tensors {
  if (!teacher || !options) return {};
  return {
    [DISTILLATION_TEMPERATURE]: scalar(options.temperature ?? 4),
    [DISTILLATION_WEIGHT]: scalar(options.weight ?? 0.3),
  };
}
