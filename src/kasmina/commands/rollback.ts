/** ROLLBACK commands: back to the last good state in memory, or to the checkpoint; the trainer carries it out. */
import type { RollbackCommand } from "../../contracts/gen/kasmina/v1/command_pb.js";
import { rollbackWords } from "../../contracts/names.js";
import type { CommandContext } from "./context.js";
import { applied, type HandlerResult, refused } from "./outcome.js";

export function handleRollback(context: CommandContext, order: RollbackCommand): HandlerResult {
  const { state, now } = context;
  const source = rollbackWords.word(order.source);
  if (!source) return refused("unknown_source", undefined, `rollback source ${order.source} is unknown`);
  state.plan.add(now.step, { kind: "rollback", source, reason: order.reason });
  return applied(now.step);
}
