/**
 * Names in a command (docs/commands.md, "What is refused"). A seed's name comes to stand in paths, files, labels and pages, so it keeps
 * to one rule; a name that only looks something up keeps to it too, unless it is the name of something that is there: a host's slots and
 * a caller's blueprints are called as they are.
 */
import { IDENTIFIER_RULE, isIdentifier, printable } from "../../base/text.js";
import type { AdaptationCommand } from "../../contracts/gen/kasmina/v1/command_pb.js";
import type { RunState } from "../state/run-state.js";

/** Of an issuer's name. */
const ISSUER_MAX = 256;

/** What is wrong with a command's names, in one line; undefined where nothing is. An empty name is a name left out. */
export function identifierProblem(command: AdaptationCommand, state: RunState): string | undefined {
  const { registry, blueprints } = state;
  const order = command.payload.case === "seed" ? command.payload.value : undefined;
  const names: readonly (readonly [field: string, name: string, isKnown: boolean])[] = [
    ["target_seed_id", command.targetSeedId, registry.find(command.targetSeedId) !== undefined],
    ["slot_id", command.slotId, registry.slot(command.slotId) !== undefined],
    [
      "blueprint_id",
      order?.blueprintId.trim() ?? "",
      blueprints.find(order?.blueprintId ?? "") !== undefined,
    ],
    ["artifact_sha256", order?.artifactSha256 ?? "", false],
    ...(order?.parameters ?? []).map(({ name }) => ["a parameter's name", name, false] as const),
  ];
  const bad = names.find(([, name, isKnown]) => name !== "" && !isKnown && !isIdentifier(name));
  return bad ? `${bad[0]} must be ${IDENTIFIER_RULE}` : textProblem(command);
}

/** Names that stay texts: they are told, and looked up, and nothing else. */
function textProblem({ commandId, issuedBy }: AdaptationCommand): string | undefined {
  if (printable(commandId) !== commandId.trim()) return "command_id must be one line of printable text";
  const isShort = issuedBy.length <= ISSUER_MAX;
  return isShort && printable(issuedBy) === issuedBy.trim()
    ? undefined
    : `issued_by must be one line of printable text, ${ISSUER_MAX} characters at most`;
}
