/** G3, to SHADOWING: does the program that runs hold the seed where it should be, at its full alpha? */
import type { InstalledTopology } from "../../contracts/ports.js";
import { type Check, type CommonInputs, commonCheck, failing, type GateResult, judge } from "./gate.js";

export interface G3Inputs extends CommonInputs {
  readonly seedId: string;
  readonly slotId: string;
  /** Undefined where the trainer has registered none. */
  readonly topology: InstalledTopology | undefined;
  readonly alphaStepsDone: number;
  readonly alphaSteps: number;
}

export function g3Interface(inputs: G3Inputs): GateResult {
  return judge(
    "G3_INTERFACE",
    () => commonCheck(inputs),
    () => topologyCheck(inputs),
    () => alphaCheck(inputs),
  );
}

function topologyCheck({ topology, seedId, slotId }: G3Inputs): Check {
  if (!topology) return failing("host_not_registered");
  const slotShape = topology.slots[slotId];
  const seed = topology.seeds[seedId];
  if (!slotShape || seed?.slotId !== slotId)
    return failing("slot_not_covered", { slot_id: slotId, seed_in_program: seed !== undefined });
  const same =
    seed.outputShape.length === slotShape.length && seed.outputShape.every((n, i) => n === slotShape[i]);
  if (same) return undefined;
  return failing("output_shape", { expected: `[${slotShape}]`, got: `[${seed.outputShape}]` });
}

function alphaCheck({ alphaStepsDone, alphaSteps }: G3Inputs): Check {
  if (alphaStepsDone >= alphaSteps) return undefined;
  return failing("alpha_incomplete", { alpha_steps: alphaStepsDone, of: alphaSteps });
}
