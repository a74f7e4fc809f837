/** G5, to DORMANT: is nothing of the culled seed left anywhere? */
import { type CommonInputs, commonCheck, failing, type GateResult, judge } from "./gate.js";

export interface G5Inputs extends CommonInputs {
  /** Paths of parameters, optimizer entries, cache references and program inputs that are still there. */
  readonly residue: readonly string[];
}

/** So many are named; of the rest only the number. */
const NAMED = 8;

export function g5Reset(inputs: G5Inputs): GateResult {
  const { residue } = inputs;
  return judge(
    "G5_RESET",
    () => commonCheck(inputs),
    () =>
      residue.length === 0
        ? undefined
        : failing("residue", { left: residue.slice(0, NAMED).join(", "), count: residue.length }),
  );
}
