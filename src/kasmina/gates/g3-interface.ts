/** G3, to SHADOWING: does the program that runs hold the seed where it should be, at its full alpha? */
import { type Check, type CommonInputs, commonCheck, failing, type GateResult, judge } from "./gate.js";

/** What the trainer installed, as read off the traced program. */
export interface InstalledTopology {
  /** Shape of the activation at every slot of the program, without the batch axis. */
  readonly slots: Readonly<Record<string, readonly number[]>>;
  /** Shape of every seed's output in the program, without the batch axis, and the slot it is in. */
  readonly seeds: Readonly<
    Record<string, { readonly slotId: string; readonly outputShape: readonly number[] }>
  >;
}

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
