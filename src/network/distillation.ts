/**
 * Knowledge distillation (Hinton et al. 2015, arXiv:1503.02531): what learns also learns to answer as a frozen
 * teacher does. Its parameters are inputs of the step under `teacher/` that nothing replaces.
 */

import { KasminaError } from "../base/index.js";
import { TEACHER_ROOT, type TensorSpecs } from "../contracts/index.js";
import type { Arrays, JaxArray } from "../engine/index.js";
import { type Host, labelShape } from "../nn/index.js";
import { blendControlSpecs, forward, type Lookup } from "./forward.js";
import { taskFor } from "./tasks.js";
import { parameterSpecs, type TeacherNetwork, type Topology } from "./topology.js";

/** Controls of a step with a teacher, both []: the softmax temperature, and the part of the teacher in the loss, 0 to 1. */
export const DISTILLATION_TEMPERATURE = "distillation/temperature";
export const DISTILLATION_WEIGHT = "distillation/weight";

/** Specs of a teacher's parameters and of its seeds' blend weights, which are frozen too, by state path. */
export function teacherSpecs({ topology }: TeacherNetwork): TensorSpecs {
  const specs = { ...parameterSpecs(topology), ...blendControlSpecs(topology) };
  return Object.fromEntries(Object.entries(specs).map(([path, spec]) => [`${TEACHER_ROOT}${path}`, spec]));
}

/** Specs of the controls that a topology's teacher adds; none without one. */
export function distillationControlSpecs({ teacher }: Topology): TensorSpecs {
  if (!teacher) return {};
  const scalar = { shape: [], dtype: "float32" } as const;
  return { [DISTILLATION_TEMPERATURE]: scalar, [DISTILLATION_WEIGHT]: scalar };
}

/** @throws KasminaError `invalid_argument` where the teacher answers other questions than the host */
export function checkTeacher({ id, topology }: TeacherNetwork, host: Host): void {
  const form = (of: Host): string =>
    `${of.inputDType}[${of.inputShape}] → [${[...labelShape(of), of.classes]}]`;
  if (form(topology.host) === form(host)) return;
  throw new KasminaError(
    "invalid_argument",
    `teacher ${id} answers ${form(topology.host)}, host ${host.id} ${form(host)}`,
  );
}

/** What is minimised: [] from the outputs of what learns and their mean loss []. Consumes both. */
export type Objective = (loss: JaxArray, outputs: JaxArray) => JaxArray;

/** Without a teacher, the loss itself. */
const LOSS_ALONE: Objective = (loss, outputs) => {
  outputs.dispose();
  return loss;
};

/**
 * (1 − w)·loss + w·imitation, as the task has it: of classes T²·KL(p ‖ q), p and q being the teacher's and the learner's
 * probabilities at temperature T. The teacher runs here, once, outside of what is differentiated.
 */
export function objectiveOf(topology: Topology, state: Arrays, control: Lookup, x: JaxArray): Objective {
  const { teacher, loss: options } = topology;
  if (!teacher) return LOSS_ALONE;
  const frozen: Lookup = (name) => {
    const array = state[`${TEACHER_ROOT}${name}`];
    if (!array) throw new KasminaError("illegal_state", `teacher ${teacher.id} has no ${name}`);
    return array.ref;
  };
  const answers = forward({ topology: teacher.topology, parameter: frozen, control: frozen }, x.ref);
  const temperature = (): JaxArray => control(DISTILLATION_TEMPERATURE);
  const imitation = taskFor(options?.task).imitation(answers, temperature);
  return (loss, outputs) => {
    const distilled = imitation(outputs);
    return loss.ref.add(distilled.sub(loss).mul(control(DISTILLATION_WEIGHT)));
  };
}
