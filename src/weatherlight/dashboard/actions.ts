/** What may be ordered from the page: the operator's commands, signed by the run's control key as the command line signs them. */
import { z } from "zod";
import { KasminaError } from "../../base/index.js";
import type { CommandOutcome } from "../../contracts/index.js";
import { advanceOrder, type OperatorOrder, sendCommand } from "../control/control-client.js";

const seed = z.string().min(1).max(128);
const actionSchema = z.discriminatedUnion("action", [
  z.strictObject({ action: z.enum(["advance", "fossilize", "cull", "pause", "resume"]), seed }),
  z.strictObject({ action: z.literal("rollback"), to: z.enum(["memory", "checkpoint"]) }),
  z.strictObject({
    action: z.literal("emergency"),
    level: z.enum(["PAUSE_GROWTH", "FREEZE_SEEDS", "HALT", "CLEAR"]),
  }),
]);
export type Action = z.infer<typeof actionSchema>;

const REASON = "dashboard";

/** @throws KasminaError `invalid_argument` for what is no action */
export function parseAction(text: string): Action {
  try {
    return actionSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new KasminaError("invalid_argument", "this is no action that a run knows", { cause: error });
  }
}

/** Signs and sends it; resolves with what the run answers. */
export async function carryOut(runFolder: string, action: Action): Promise<CommandOutcome> {
  return sendCommand(runFolder, await orderOf(runFolder, action));
}

async function orderOf(runFolder: string, action: Action): Promise<OperatorOrder> {
  switch (action.action) {
    case "advance":
      return advanceOrder(runFolder, action.seed);
    case "fossilize":
      return { order: { kind: "SEED", operation: "FOSSILIZE" }, seedId: action.seed };
    case "cull":
      return { order: { kind: "SEED", operation: "CULL" }, seedId: action.seed };
    case "pause":
    case "resume":
      return { order: { kind: "PAUSE", resume: action.action === "resume" }, seedId: action.seed };
    case "rollback":
      return { order: { kind: "ROLLBACK", source: action.to, reason: REASON } };
    case "emergency":
      return { order: { kind: "EMERGENCY", level: action.level, reason: REASON } };
    default:
      return action satisfies never;
  }
}
