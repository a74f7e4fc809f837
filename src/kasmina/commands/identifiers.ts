/**
 * Names in a command (docs/commands.md, "What is checked, in this order"). A seed's name comes to stand in paths, files, labels and pages, so it keeps
 * to one rule; a name that only looks something up keeps to it too, unless it is the name of something that is there: a host's slots and
 * a caller's blueprints are called as they are.
 */
import { IDENTIFIER_RULE, isIdentifier, printable } from "../../base/text.js";
import type { AdaptationCommand } from "../../contracts/gen/kasmina/v1/command_pb.js";
import type { RunState } from "../state/run-state.js";

/** Of an issuer's name. */
const ISSUER_MAX = 256;
/** Parameters of a blueprint that a command may name: ten times what any has. */
const PARAMETERS_MAX = 64;

/** What is wrong with a command's names, in one line; undefined where nothing is. An empty name is a name left out. */
export function identifierProblem(command: AdaptationCommand, state: RunState): string | undefined {
  const { payload } = command;
  if (payload.case === "seed" && payload.value.parameters.length > PARAMETERS_MAX)
    return `parameters must be ${PARAMETERS_MAX} at most, got ${payload.value.parameters.length}`;
  const bad = namesIn(command, state).find(
    ({ name, isKnown }) => name !== "" && !isKnown && !isIdentifier(name),
  );
  return bad ? `${bad.field} must be ${IDENTIFIER_RULE}` : textProblem(command);
}

interface CommandName {
  readonly field: string;
  readonly name: string;
  /** Whether something of the run is called so. */
  readonly isKnown: boolean;
}

function namesIn({ targetSeedId, slotId, payload }: AdaptationCommand, { registry, blueprints }: RunState) {
  const names: CommandName[] = [
    { field: "target_seed_id", name: targetSeedId, isKnown: registry.find(targetSeedId) !== undefined },
    { field: "slot_id", name: slotId, isKnown: registry.slot(slotId) !== undefined },
  ];
  if (payload.case !== "seed") return names;
  const { blueprintId, artifactSha256, parameters } = payload.value;
  return names.concat(
    { field: "blueprint_id", name: blueprintId.trim(), isKnown: blueprints.find(blueprintId) !== undefined },
    { field: "artifact_sha256", name: artifactSha256, isKnown: false },
    parameters.map(({ name }) => ({ field: "a parameter's name", name, isKnown: false })),
  );
}

/** Names that stay texts: they are reported and looked up, and nothing else. */
function textProblem({ commandId, issuedBy }: AdaptationCommand): string | undefined {
  if (printable(commandId) !== commandId.trim()) return "command_id must be one line of printable text";
  const isShort = issuedBy.length <= ISSUER_MAX;
  return isShort && printable(issuedBy) === issuedBy.trim()
    ? undefined
    : `issued_by must be one line of printable text, ${ISSUER_MAX} characters at most`;
}
