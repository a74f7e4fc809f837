/** G0, to GERMINATED: is there such a blueprint, does it fit, and is the place open? Asked again when the kernel comes. */
import { type BlueprintDescription, parameterProblem } from "../../contracts/blueprint.js";
import { type Check, type CommonInputs, commonCheck, failing, type GateResult, judge } from "./gate.js";

export interface G0Inputs extends CommonInputs {
  readonly blueprintId: string;
  /** As the catalog knows it; undefined where it does not. */
  readonly blueprint: BlueprintDescription | undefined;
  readonly parameters: Readonly<Record<string, number>>;
  /** Parameters that were given twice. */
  readonly repeatedParameters?: readonly string[];
  readonly slotId: string;
  /** Shape of the slot's activation; undefined where the host has no such slot. */
  readonly slotShape: readonly number[] | undefined;
  /** Where an embargo is on: what is closed, and the first step at which it may open. */
  readonly closure?: { readonly what: "slot" | "blueprint"; readonly untilStep: number };
  /** Once the kernel is there: what came, against what was asked for. */
  readonly artifact?: ArtifactFacts;
}

export interface ArtifactFacts {
  readonly blueprintId: string;
  readonly sha256: string;
  /** Left out: any artifact of the blueprint is welcome. */
  readonly expectedSha256?: string;
}

export function g0Sanity(inputs: G0Inputs): GateResult {
  return judge(
    "G0_SANITY",
    () => commonCheck(inputs),
    () => blueprintCheck(inputs),
    () => artifactCheck(inputs),
    () => slotCheck(inputs),
  );
}

function blueprintCheck({ blueprintId, blueprint, parameters, repeatedParameters = [] }: G0Inputs): Check {
  if (blueprintId.trim() === "") return failing("missing_blueprint");
  if (!blueprint) return failing("unknown_blueprint");
  const [repeated] = repeatedParameters;
  if (repeated !== undefined)
    return failing("parameter_invalid", { problem: `parameter ${repeated} is given twice` });
  const problem = parameterProblem(blueprint, parameters);
  return problem === undefined ? undefined : failing("parameter_invalid", { problem });
}

const SHA256 = /^[0-9a-f]{64}$/;

function artifactCheck({ artifact, blueprintId }: G0Inputs): Check {
  if (!artifact) return undefined;
  const { sha256, expectedSha256 = sha256 } = artifact;
  const matches = SHA256.test(sha256) && sha256 === expectedSha256 && artifact.blueprintId === blueprintId;
  if (matches) return undefined;
  return failing("artifact_mismatch", {
    sha256,
    expected_sha256: expectedSha256,
    artifact_blueprint_id: artifact.blueprintId,
  });
}

function slotCheck({ slotId, slotShape, blueprint, closure }: G0Inputs): Check {
  if (closure) return failing("slot_closed", { closed: closure.what, until_step: closure.untilStep });
  if (!slotShape) return failing("slot_shape", { problem: `the host has no slot ${slotId}` });
  if (blueprint?.supports(slotShape)) return undefined;
  return failing("slot_shape", { problem: `no fit for an activation of shape [${slotShape}]` });
}
